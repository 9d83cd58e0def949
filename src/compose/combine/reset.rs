//! `!reset` and `!override`: earlier values that a later file drops.

use crate::compose::tree::{Node, Path, Removed, Shadow};

/// Removes the values at `paths`, which come from the tags of a later document, from the whole project `node`.
pub(crate) fn apply_resets(node: &mut Node, paths: &[Path], removed: &mut Vec<Removed>) {
    apply_resets_below(node, &[], paths, removed);
}

/// Applies those of `paths` that lead into the value at `at`, which is `node`.
pub(crate) fn apply_resets_below(
    node: &mut Node,
    at: &[&str],
    paths: &[Path],
    removed: &mut Vec<Removed>,
) {
    for path in paths {
        let parts = path.parts();
        let is_inside = parts.len() > at.len() && at.iter().zip(parts).all(|(at, part)| at == part);
        let Some(was) = is_inside
            .then(|| remove(node, &parts[at.len()..]))
            .flatten()
        else {
            continue;
        };
        removed.push(Removed {
            path: parts.join("."),
            by: path.span(),
            was: Shadow {
                span: was.span,
                value: was.value,
            },
        });
    }
}

fn remove(node: &mut Node, parts: &[String]) -> Option<Node> {
    // Elements of lists cannot be removed by number: a path never leads through a list.
    let map = node.as_map_mut()?;
    match parts {
        [] => None,
        [last] => Some(map.remove(last)?.node),
        [first, rest @ ..] => remove(&mut map.get_mut(first)?.node, rest),
    }
}
