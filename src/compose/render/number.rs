//! Numbers as Docker Compose writes them: in the fewest digits, with an exponent where its
//! libraries for JSON and for YAML begin to use one.

use serde_json::Number;

use crate::compose::tree::Value;

/// Writes a number for JSON: with an exponent below 10⁻⁶ and from 10²¹ on.
pub(super) fn in_json(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-6..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

/// Writes a number for YAML: as it is written into strings.
pub(super) fn in_yaml(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(value) => Value::Float(value).to_plain(),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_begin_where_docker_compose_begins_them() {
        let cases = [
            (0.5, "0.5", "0.5"),
            (1e20, "100000000000000000000", "1e+20"),
            (1e21, "1e+21", "1e+21"),
            (1.5e300, "1.5e+300", "1.5e+300"),
            (123_456_789.125, "123456789.125", "1.23456789125e+08"),
            (0.000_001, "0.000001", "1e-06"),
            (0.000_1, "0.0001", "0.0001"),
            (-2.5e-8, "-2.5e-8", "-2.5e-08"),
        ];
        for (value, json, yaml) in cases {
            let number = Number::from_f64(value).unwrap();
            assert_eq!(in_json(&number), json);
            assert_eq!(in_yaml(&number), yaml);
        }
        assert_eq!(in_yaml(&Number::from(10_000_000)), "10000000");
    }
}
