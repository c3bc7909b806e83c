//! Helm templates, which look like manifests and have to be rendered first.

/// Begins an action in a template.
pub(super) const MARK: &str = "{{";

/// Tells a person who passed a template what to do.
pub const ADVICE: &str = "this looks like a Helm template: render it first, with `helm template`";

/// Returns whether a text with an error in `line` looks like a template. Other files have `{{` too (alerting rules,
/// workflows), but in quotes, where it is not an error, and without the words of Helm.
pub(super) fn is_likely(text: &str, line: &str) -> bool {
    let begins = |line: &str| line.trim_start().starts_with(MARK);
    let known = [" .Values", " .Release", " .Chart", " include ", " template "];
    let helms = |line: &str| line.contains(MARK) && known.iter().any(|word| line.contains(word));
    line.contains(MARK) || text.lines().any(|line| begins(line) || helms(line))
}

#[cfg(test)]
mod tests {
    use crate::Manifest;

    #[test]
    fn a_template_that_is_no_yaml_is_told_from_yaml_that_is_wrong() {
        let advised = |text: &str| Manifest::parse(text).unwrap_err().message.contains("`helm template`");
        assert!(advised("a: {{ .Values.b }}c\n"));
        assert!(advised("a:\n{{- if .Values.b }}\n  b: c\n{{- end }}\n"));
        assert!(advised("a: {{ include \"b\" . }}\nb: [\n"));
        assert!(!advised("a: '{{ $labels.b }}'\nb: [\n"));
        assert!(!advised("a: 1\nb: [\n"));
    }
}
