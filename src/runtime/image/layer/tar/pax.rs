//! The records of a PAX extended header: `length key=value\n`, each with its own length.

/// The most records of one header.
const RECORDS_LIMIT: usize = 10_000;
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What a PAX header says instead of, or beside, the header that follows it.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size_bytes: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut pax = Self::default();
        let mut count = 0;
        while !bytes.is_empty() {
            let (key, value, rest) = split_record(bytes).ok_or("a PAX record is malformed")?;
            pax.set(key, value)?;
            bytes = rest;
            count += 1;
            if count > RECORDS_LIMIT {
                return Err("it has more than 10,000 PAX records");
            }
        }
        Ok(pax)
    }

    /// Some readers apply a global header to all that follows and some do not: it may not matter.
    pub(super) fn check_global(&self) -> Result<(), &'static str> {
        let changes_nothing = self.path.is_none()
            && self.link.is_none()
            && self.size_bytes.is_none()
            && self.uid.is_none()
            && self.gid.is_none()
            && self.mtime.is_none()
            && self.xattrs.is_empty();
        if changes_nothing {
            return Ok(());
        }
        Err("a global PAX header changes the entries after it")
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => once(&mut self.path, checked_text(value)?),
            b"linkpath" => once(&mut self.link, checked_text(value)?),
            b"size" => once(&mut self.size_bytes, decimal(value)?),
            b"uid" => once(&mut self.uid, id(value)?),
            b"gid" => once(&mut self.gid, id(value)?),
            b"mtime" => once(&mut self.mtime, time(value)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                Err("it is a sparse file, which image layers should not contain")
            }
            _ => self.set_xattr(key, value),
        }
    }

    /// What is neither an attribute nor known above is a note for people, or a name of an owner.
    fn set_xattr(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let Some(name) = key.strip_prefix(XATTR_PREFIX) else {
            return Ok(());
        };
        if name.is_empty() || name.contains(&0) {
            return Err("an extended attribute has no name");
        }
        self.xattrs.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(8).position(|&byte| byte == b' ')?;
    let length = decimal(&bytes[..space]).ok()?;
    let length = usize::try_from(length).ok()?;
    if length > bytes.len() || length < space + 2 {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let content = record[space + 1..].strip_suffix(b"\n")?;
    let equals = content.iter().position(|&byte| byte == b'=')?;
    if equals == 0 {
        return None;
    }
    Some((&content[..equals], &content[equals + 1..], rest))
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), &'static str> {
    if slot.replace(value).is_some() {
        return Err("a PAX header has one key twice");
    }
    Ok(())
}

fn checked_text(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() || value.contains(&0) {
        return Err("a name in a PAX header is empty or contains NUL");
    }
    Ok(value.to_vec())
}

fn decimal(value: &[u8]) -> Result<u64, &'static str> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| is_number);
    let number = text.and_then(|text| text.parse::<u64>().ok());
    number
        .filter(|&number| i64::try_from(number).is_ok())
        .ok_or("a number in a PAX header is not one")
}

fn id(value: &[u8]) -> Result<u32, &'static str> {
    let id = u32::try_from(decimal(value)?).ok();
    id.filter(|&id| id != u32::MAX)
        .ok_or("its owner is not a user or group id")
}

/// Reads seconds with a fraction, perhaps before 1970.
fn time(value: &[u8]) -> Result<(i64, u32), &'static str> {
    const MALFORMED: &str = "a time in a PAX header is not one";
    let (is_before, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let point = digits.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &b""[..]),
    };
    let seconds = i64::try_from(decimal(whole)?).map_err(|_| MALFORMED)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    let padded = fraction.iter().chain(b"000000000").take(9);
    let nanoseconds = padded.fold(0_u32, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    match (is_before, nanoseconds) {
        (false, _) => Ok((seconds, nanoseconds)),
        (true, 0) => Ok((-seconds, 0)),
        (true, _) => Ok((-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}
