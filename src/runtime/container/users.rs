//! Who a program runs as: Docker's `user` forms, looked up in the image's own passwd and group files.
//!
//! Both files come from the image: they are read inside the root, bounded, and only if regular.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ContainerError;
use crate::runtime::kernel::rooted::Root;

/// A user, a group and further groups by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its further groups, with `gid` among them.
    pub groups: Vec<u32>,
    /// Where it is at home: from passwd, else `/`.
    pub home: String,
}

/// More than any real passwd or group file holds.
const FILE_LIMIT_BYTES: u64 = 8 << 20;
/// Larger numbers turn negative, and then 0, somewhere on the way (CVE-2024-40635).
const ID_LIMIT: u32 = i32::MAX as u32;

/// Returns the numbers that `user` (`name`, `uid`, `name:group`, …) and `groups` stand for in `root`.
pub fn resolve(root: &Root, user: &str, groups: &[String]) -> Result<Identity, ContainerError> {
    let passwd = read(root, "etc/passwd")?;
    let group = read(root, "etc/group")?;
    resolve_in(&passwd, &group, user, groups)
}

fn read(root: &Root, path: &str) -> Result<String, ContainerError> {
    let bytes = root
        .read_bounded(Path::new(path), FILE_LIMIT_BYTES)
        .map_err(ContainerError::kernel("look up the container's user"))?
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn resolve_in(
    passwd: &str,
    group: &str,
    user: &str,
    more: &[String],
) -> Result<Identity, ContainerError> {
    let (user_part, group_part) = match user.split_once(':') {
        Some((user_part, group_part)) => (user_part, Some(group_part)),
        None => (user, None),
    };
    let entry = find_user(passwd, user_part)?;
    let gid = match group_part {
        None | Some("") => entry.gid,
        Some(text) => find_group(group, text)?,
    };
    // As Docker: the group itself is one of the further groups too, so that giving it up with setgid(2) does not get
    // around a file's permissions for it (CVE-2022-36109).
    let mut groups = vec![gid];
    // As Docker: who names a group gets only that one; a user's own memberships come with the user.
    if let Some(name) = entry
        .name
        .as_ref()
        .filter(|_| group_part.is_none_or(str::is_empty))
    {
        groups.extend(memberships(group, name));
    }
    for text in more {
        groups.push(find_group(group, text)?);
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(Identity {
        uid: entry.uid,
        gid,
        groups,
        home: entry.home,
    })
}

struct User {
    uid: u32,
    gid: u32,
    name: Option<String>,
    home: String,
}

fn find_user(passwd: &str, text: &str) -> Result<User, ContainerError> {
    let text = if text.is_empty() { "0" } else { text };
    let number = parse_id("the container's user", text)?;
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
            continue;
        };
        let (Ok(uid), Ok(gid)) = (uid.parse::<u32>(), gid.parse::<u32>()) else {
            continue;
        };
        // A name that looks like a number is a number, as in Docker.
        if number.map_or(*name == text, |number| uid == number) {
            if uid > ID_LIMIT || gid > ID_LIMIT {
                return Err(too_large("the container's user", text));
            }
            let home = if home.starts_with('/') {
                (*home).to_owned()
            } else {
                "/".to_owned()
            };
            return Ok(User {
                uid,
                gid,
                name: Some((*name).to_owned()),
                home,
            });
        }
    }
    match number {
        Some(uid) => Ok(User {
            uid,
            gid: 0,
            name: None,
            home: "/".to_owned(),
        }),
        None => Err(ContainerError::setting(
            "the container's user",
            text,
            "there is no such user in the image's /etc/passwd",
        )),
    }
}

fn find_group(group: &str, text: &str) -> Result<u32, ContainerError> {
    if let Some(number) = parse_id("the container's group", text)? {
        return Ok(number);
    }
    let found = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(text))
            .then(|| fields.nth(1)?.parse::<u32>().ok())
            .flatten()
    });
    match found {
        Some(gid) if gid <= ID_LIMIT => Ok(gid),
        Some(_) => Err(too_large("the container's group", text)),
        None => Err(ContainerError::setting(
            "the container's group",
            text,
            "there is no such group in the image's /etc/group",
        )),
    }
}

/// Returns the groups that list `name` as a member.
fn memberships(group: &str, name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members, ..] = fields.as_slice() else {
            continue;
        };
        if members.split(',').any(|member| member == name) {
            found.extend(gid.parse::<u32>().ok().filter(|gid| *gid <= ID_LIMIT));
        }
    }
    found
}

/// Returns the number, or `None` for what must be a name.
fn parse_id(what: &'static str, text: &str) -> Result<Option<u32>, ContainerError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return if text
            .bytes()
            .any(|byte| byte.is_ascii_whitespace() || byte == b':')
            || text.is_empty()
        {
            Err(ContainerError::setting(
                what,
                text,
                "a name or a number is expected",
            ))
        } else {
            Ok(None)
        };
    }
    match text.parse::<u32>() {
        Ok(id) if id <= ID_LIMIT => Ok(Some(id)),
        Ok(_) | Err(_) => Err(too_large(what, text)),
    }
}

fn too_large(what: &'static str, text: &str) -> ContainerError {
    ContainerError::setting(what, text, "ids go from 0 to 2147483647")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/srv/app:/bin/sh\n\
                          broken\n7:x:42:43::relative:/bin/sh\nhuge:x:4294967295:0::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nvideo:x:44:app,root\nwheel:x:10:root,app\n";

    fn ids(user: &str, more: &[&str]) -> Result<(u32, u32, Vec<u32>), ContainerError> {
        let more: Vec<String> = more.iter().map(|text| (*text).to_owned()).collect();
        let found = resolve_in(PASSWD, GROUP, user, &more)?;
        Ok((found.uid, found.gid, found.groups))
    }

    #[test]
    fn every_form_of_user_means_what_docker_means() {
        assert_eq!(ids("", &[]).unwrap(), (0, 0, vec![0, 10, 44]));
        assert_eq!(ids("root", &[]).unwrap(), (0, 0, vec![0, 10, 44]));
        assert_eq!(ids("app", &[]).unwrap(), (1000, 1001, vec![10, 44, 1001]));
        assert_eq!(ids("1000", &[]).unwrap(), (1000, 1001, vec![10, 44, 1001]));
        assert_eq!(ids("app:video", &[]).unwrap(), (1000, 44, vec![44]));
        assert_eq!(ids("app:", &[]).unwrap(), (1000, 1001, vec![10, 44, 1001]));
        assert_eq!(ids("1234", &[]).unwrap(), (1234, 0, vec![0]));
        assert_eq!(ids("1234:1001", &[]).unwrap(), (1234, 1001, vec![1001]));
        assert_eq!(ids("7", &[]).unwrap(), (7, 0, vec![0]));
        assert_eq!(
            ids("1234", &["video", "9"]).unwrap(),
            (1234, 0, vec![0, 9, 44])
        );
    }

    #[test]
    fn what_cannot_be_a_user_is_refused_and_never_becomes_root() {
        for user in [
            "nobody-here",
            "0x0",
            " 0",
            "0 ",
            "-1",
            "4294967295",
            "2147483648",
            "4294967296:0",
            "99999999999999999999",
            "huge",
            "app:nogroup",
            "1:-1",
            "1:0x1",
            "app:video:x",
            "ro ot",
        ] {
            assert!(ids(user, &[]).is_err(), "{user}");
        }
    }

    #[test]
    fn home_comes_from_passwd_and_is_absolute() {
        assert_eq!(
            resolve_in(PASSWD, GROUP, "app", &[]).unwrap().home,
            "/srv/app"
        );
        assert_eq!(resolve_in(PASSWD, GROUP, "42", &[]).unwrap().home, "/");
        assert_eq!(resolve_in(PASSWD, GROUP, "77", &[]).unwrap().home, "/");
    }
}
