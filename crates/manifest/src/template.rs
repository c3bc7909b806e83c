//! Templates (of Helm, of Jinja and others), which look like manifests but must be rendered first.

/// The start of an action or an expression in a template.
pub(super) const MARK: &str = "{{";

/// The starts of other tags of Jinja: statements and comments.
const TAGS: [&str; 2] = ["{%", "{#"];

/// The advice for a user who passes a template. Its language is not known: Go templates and Jinja have the same marks.
pub const ADVICE: &str = "this looks like a template: render it first (a Helm chart with `helm template`)";

/// Returns true if a text with an error between `before` and `after` on a line looks like a template. Other files have `{{` too (alerting rules,
/// workflows), but in quotes, where it is not an error, and without Helm's objects and functions.
pub(super) fn is_likely(text: &str, before: &str, after: &str) -> bool {
    let starts = |line: &str, mark: &str| line.trim_start().starts_with(mark);
    let begins = |line: &str| starts(line, MARK) || TAGS.iter().any(|tag| starts(line, tag));
    let known = [" .Values", " .Release", " .Chart", " include ", " template "];
    let helms = |line: &str| line.contains(MARK) && known.iter().any(|word| line.contains(word));
    let split = before.ends_with('{') && after.starts_with('{');
    split || before.contains(MARK) || after.contains(MARK) || text.lines().any(|line| begins(line) || helms(line))
}

#[cfg(test)]
mod tests {
    use crate::Manifest;

    #[test]
    fn a_template_is_distinguished_from_invalid_yaml() {
        let advised = |text: &str| Manifest::new(text).parse().unwrap_err().message.contains("`helm template`");
        assert!(advised("a: {{ .Values.b }}c\n"));
        assert!(advised("a:\n{{- if .Values.b }}\n  b: c\n{{- end }}\n"));
        assert!(advised("a: {{ include \"b\" . }}\nb: [\n"));
        assert!(advised("a:\n  {% if b %}\n  c: d\n  {% endif %}\n"));
        assert!(advised("{%- set a = 1 %}\nb: c\n"));
        assert!(advised("{# a comment #}\nb: c\n"));
        assert!(!advised("a: '{{ $labels.b }}'\nb: [\n"));
        assert!(!advised("a: 1\nb: [\n"));
    }
}
