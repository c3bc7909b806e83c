//! Numbers of things, in messages.

use std::fmt;

/// Renders a number with its noun, in the singular for one thing: `1 claim`, `2 classes`.
pub fn amount(number: impl Copy + fmt::Display + PartialEq + From<u8>, noun: &str) -> String {
    let ending = match noun {
        // It is an abbreviation of a noun without a plural.
        _ if number == 1.into() || noun == "info" => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_other_than_one_have_the_plural() {
        let texts = [amount(1_usize, "file"), amount(0_u64, "file"), amount(2_usize, "class"), amount(2_usize, "info")];
        assert_eq!(texts, ["1 file", "0 files", "2 classes", "2 info"]);
    }
}
