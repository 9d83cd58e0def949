//! `!reset` and `!override`: earlier values that a later file drops.

use crate::compose::tree::{Node, Path};

/// Removes the values at `paths`; the paths come from the tags of a later document.
pub(crate) fn apply_resets(node: &mut Node, paths: &[Path]) {
    for path in paths {
        remove(node, path.parts());
    }
}

/// Applies those of `paths` that lead into the value at `at`, which is `node`.
pub(crate) fn apply_resets_below(node: &mut Node, at: &[&str], paths: &[Path]) {
    for path in paths {
        let parts = path.parts();
        if parts.len() > at.len() && at.iter().zip(parts).all(|(at, part)| at == part) {
            remove(node, &parts[at.len()..]);
        }
    }
}

fn remove(node: &mut Node, parts: &[String]) {
    // Elements of lists cannot be removed by number: a path never leads through a list.
    let Some(map) = node.as_map_mut() else { return };
    match parts {
        [] => {}
        [last] => {
            map.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(entry) = map.get_mut(first) {
                remove(&mut entry.node, rest);
            }
        }
    }
}
