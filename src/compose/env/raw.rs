//! The `raw` format: `KEY=value` lines whose values are taken as they are.

use crate::compose::env::{LineError, Lookup, Variables, check_bytes, check_count};

/// Reads a file into `variables`; a name alone is inherited.
pub(crate) fn parse(
    text: &str,
    variables: &mut Variables,
    lookup: Lookup<'_>,
) -> Result<(), LineError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_bytes(text)?;
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        check_count(variables, number)?;
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, lookup(line)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let message = format!("`{name}` is no name of a variable");
            return Err(LineError::new(number, message));
        }
        if let Some(value) = value {
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_they_are() {
        let mut variables = Variables::new();
        parse("A='$B' # no comment\n#C=1\nD\n", &mut variables, &|_| None).unwrap();
        assert_eq!(
            variables,
            Variables::from([("A".into(), "'$B' # no comment".into())])
        );
    }
}
