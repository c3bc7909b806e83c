//! Comments that ignore findings: `# colocate: ignore HC011 because the pods are pinned by hand`.
//!
//! A comment applies to one object of its document: the first one that does not end before the line of the comment. This is the
//! object that contains it, or else the next one. After the last object, it applies to that one.

use std::ops::Range;

use super::document::{Document, Syntax};
use super::tree::NodeKind;
use colocate_companion::{FieldPath, Finding, Part, Rule, Severities};

/// The word that begins a comment for colocate.
const NAME: &str = "colocate";

/// The fix of an invalid comment.
const FORM: &str = "write it as `# colocate: ignore HC011 because REASON`, with one or more rules, separated by commas";

/// A comment for colocate.
#[derive(Debug)]
pub(super) struct IgnoreComment {
    /// The range of the comment, with its `#`.
    pub(super) range: Range<usize>,
    /// The rules to ignore, or the reason why the comment is not valid.
    pub(super) ignore: Result<Ignore, String>,
}

/// The rules that a comment ignores, with its reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ignore {
    pub(super) rules: Vec<Rule>,
    pub(super) reason: String,
}

impl IgnoreComment {
    /// Finds the comments of a document, in order.
    pub(super) fn all(document: &Document<'_>) -> Vec<Self> {
        let text = document.text();
        let has_name = || text.as_bytes().windows(NAME.len()).any(|word| word.eq_ignore_ascii_case(NAME.as_bytes()));
        if document.manifest.syntax == Syntax::Json || !text.contains('#') || !has_name() {
            return Vec::new();
        }
        let scalars = scalars(document);
        let (mut comments, mut at) = (Vec::new(), 0);
        while let Some(mark) = text[at..].find('#').map(|found| at + found) {
            let start = document.range.start + mark;
            // White space must precede a comment.
            let is_separate = text[..mark].chars().next_back().is_none_or(|c| c.is_whitespace() || c == '\u{feff}');
            let scalar = scalars[..scalars.partition_point(|span| span.start <= start)].last();
            if !is_separate || scalar.is_some_and(|span| span.end > start) {
                at = mark + 1;
                continue;
            }
            let comment = text[mark..].split(['\n', '\r']).next().unwrap_or_default().trim_end();
            let range = start..start + comment.len();
            comments.extend(parse(&comment[1..]).map(|ignore| Self { range, ignore }));
            at = mark + comment.len();
        }
        comments
    }

    /// The index of the object that the comment applies to. `ends` has the end of each object of the document.
    pub(super) fn owner(&self, document: &Document<'_>, ends: &[usize]) -> Option<usize> {
        let before = &document.manifest.text[..self.range.start];
        let line = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        // The range of a block scalar at the end includes its line feed.
        let next = ends.partition_point(|end| *end <= line);
        Some(next.min(ends.len().checked_sub(1)?))
    }

    /// The finding about a comment that is not valid.
    pub(super) fn invalid(&self, severities: &Severities) -> Option<Finding> {
        let why = self.ignore.as_ref().err()?;
        finding(Rule::InvalidComment, severities, format!("the comment has no effect: {why}"), FORM.to_owned())
    }
}

impl Ignore {
    /// The finding about a comment that ignores nothing of this rule, because nothing is left or a comment before it does.
    pub(super) fn unused(&self, rule: Rule, is_repeated: bool, severities: &Severities) -> Option<Finding> {
        let message = if is_repeated {
            format!("the comment ignores {rule}, as does one before it ({})", rule.title())
        } else {
            format!("the comment ignores {rule}, but the object has no such finding ({})", rule.title())
        };
        let remedy =
            if self.rules.len() == 1 { "remove the comment".to_owned() } else { format!("remove {rule} from it") };
        finding(Rule::UnusedComment, severities, message, remedy)
    }
}

fn finding(rule: Rule, severities: &Severities, message: String, remedy: String) -> Option<Finding> {
    let severity = severities.of(rule)?;
    Some(Finding { rule, severity, message, remedy, path: FieldPath::default(), part: Part::Value })
}

/// The ranges in which a `#` does not begin a comment, in order. That of a block scalar begins after the line with its `|`.
fn scalars(document: &Document<'_>) -> Vec<Range<usize>> {
    let nodes = document.tree.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Scalar(_)));
    let mut scalars: Vec<_> = nodes.map(|node| node.span.clone()).filter(|span| !span.is_empty()).collect();
    scalars.sort_by_key(|span| span.start);
    scalars
}

/// Parses the text after the `#`; `None` if the comment is not for colocate.
fn parse(comment: &str) -> Option<Result<Ignore, String>> {
    let comment = comment.trim();
    let rest = without_word(comment, NAME)?;
    if let Some(command) = rest.strip_prefix(':').filter(|_| comment.starts_with(NAME)) {
        return Some(parse_command(command.trim()));
    }
    let word = rest.trim_start_matches([' ', '\t', '-', '_', ':']);
    let is_meant = word.len() < rest.len()
        && without_word(word, "ignore").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
    is_meant.then(|| Err(format!("it must begin with `{NAME}:`, in lower case")))
}

/// Removes a word at the start, in any case.
fn without_word<'c>(text: &'c str, word: &str) -> Option<&'c str> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

fn parse_command(command: &str) -> Result<Ignore, String> {
    let (verb, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    if verb != "ignore" {
        return Err(format!("unknown command `{verb}`"));
    }
    let mut words = rest.split_whitespace();
    let names = words.by_ref().take_while(|word| *word != "because").flat_map(|word| word.split(','));
    let rules = names.filter(|name| !name.is_empty()).map(rule).collect::<Result<Vec<_>, _>>()?;
    let reason = words.collect::<Vec<_>>().join(" ");
    if rules.is_empty() {
        return Err("it names no rule".to_owned());
    }
    if reason.is_empty() {
        return Err("it gives no reason".to_owned());
    }
    Ok(Ignore { rules, reason })
}

/// Finds a rule by its id or name.
fn rule(name: &str) -> Result<Rule, String> {
    let by_name = Rule::ALL.iter().copied().find(|rule| rule.name() == name);
    let rule = by_name.map_or_else(|| Rule::try_from(name.to_owned()).map_err(|error| error.to_string()), Ok)?;
    if matches!(rule, Rule::InvalidComment | Rule::UnusedComment) {
        return Err(format!("{rule} cannot be ignored by a comment: disable it in the configuration"));
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    /// The text of each comment, with the rules and the reason, or the error.
    fn comments(text: &str) -> Vec<(&str, Result<Ignore, String>)> {
        let manifest = Manifest::new(text);
        let documents = manifest.parse().unwrap();
        let comments = documents.iter().flat_map(IgnoreComment::all);
        comments.map(|comment| (&text[comment.range], comment.ignore)).collect()
    }

    #[test]
    fn a_comment_names_rules_and_gives_a_reason() {
        let ignore =
            |rules: &[Rule], reason: &str| Some(Ok(Ignore { rules: rules.to_vec(), reason: reason.to_owned() }));
        let (one, two) = (Rule::LocalOnlyDisabled, Rule::LocalOnlyShared);
        assert_eq!(parse(" colocate: ignore HC011 because of x"), ignore(&[one], "of x"));
        assert_eq!(parse("colocate:ignore HC011,HC014\tbecause  a because b "), ignore(&[one, two], "a because b"));
        assert_eq!(parse("\tcolocate:\tignore\tHC011\tbecause\tx"), ignore(&[one], "x"));
        assert_eq!(parse(" colocate: ignore LocalOnlyDisabled , HC014 because x"), ignore(&[one, two], "x"));
        for other in [
            "",
            " a",
            " colocated",
            " colocate sets it",
            " colocate ignores it",
            " colocate/ignore: \"true\"",
            " Colocate: x",
            " Colocate: Ignores it",
            " Colöcate",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_invalid_comment_is_explained() {
        for (comment, why) in [
            ("colocate: ignore HC011", "it gives no reason"),
            ("colocate: ignore HC011 because ", "it gives no reason"),
            ("colocate: ignore HC011 becauseof x", "unknown rule `becauseof`"),
            ("colocate: ignore", "it names no rule"),
            ("colocate: ignore because x", "it names no rule"),
            (
                "colocate: ignore hc011 because x",
                "unknown rule `hc011`: use HC001 to HC039; `colocate validate --list-rules` lists them",
            ),
            ("colocate: ignore HC011: x", "unknown rule `HC011:`"),
            ("colocate: disable HC011 because x", "unknown command `disable`"),
            ("colocate:", "unknown command ``"),
            ("colocate: Ignore HC011 because x", "unknown command `Ignore`"),
            ("colocate: ignore HC011 Because x", "unknown rule `Because`"),
            ("Colocate: Ignore HC011 because x", "it must begin with `colocate:`, in lower case"),
            ("COLOCATE:ignore\tHC011 because x", "it must begin with `colocate:`, in lower case"),
            ("colocate :\tignore HC011 because x", "it must begin with `colocate:`, in lower case"),
            ("colocate ignore HC011 because x", "it must begin with `colocate:`, in lower case"),
            ("colocate-ignore", "it must begin with `colocate:`, in lower case"),
            (
                "colocate: ignore HC039 because x",
                "HC039 cannot be ignored by a comment: disable it in the configuration",
            ),
        ] {
            let error = parse(comment).unwrap().unwrap_err();
            assert!(error.starts_with(why), "{comment}: {error}");
        }
    }

    #[test]
    fn a_comment_is_found_wherever_yaml_has_one() {
        let comment = "# colocate: ignore HC011 because x";
        for text in [
            "C\na: b\n",
            "\u{feff}C\na: b\n",
            "%YAML 1.2 C\n--- C\na: b\n",
            "a: b C\n",
            "a: b\tC\r\nc: d\n",
            "a: 'b' C\rc: \"d\" C\r",
            "a: | C\n  b\n",
            "a: >-\tC\n  b\nC\n",
            "a: |\n  b\nC\nc: d\n",
            "a: [b, C\n  c] C\n",
            "a: b c C\n",
            "a: C\n  b: C\n    c\n  C\n",
            "- a\nC\n- b\n... C\n",
            "a: &b C\n  c: *b C\n",
            "a: b\nC",
        ] {
            let text = text.replace('C', comment).replace("*b", "1");
            let count = text.matches(comment).count();
            let found = comments(&text);
            assert!(found.iter().all(|(text, ignore)| *text == comment && ignore.is_ok()), "{text}");
            assert_eq!(found.len(), count, "{text}");
        }
    }

    #[test]
    fn a_string_is_not_a_comment() {
        let comment = "# colocate: ignore HC011 because x";
        for text in [
            "a: |\n  C\n",
            "a: |\n  b\n\n  C\nc: d\n",
            "a: >+2\n   b\n  C\n\n",
            "a: 'b C'\n",
            "a: \"b\n  C\n  c\"\n",
            "a: b\n# see C\n",
            "a: b ## colocate: ignore\n",
            "{\"a\": \"C\"}",
            "? |\n  C\n: b\n",
        ] {
            let text = text.replace('C', comment);
            assert_eq!(comments(&text), [], "{text}");
        }
    }

    #[test]
    fn a_comment_is_about_the_object_around_or_after_it() {
        let pod = |name: &str| format!("apiVersion: v1\n  kind: Pod\n  metadata:\n    name: {name} # {name} end\n");
        let text = format!(
            "# first\napiVersion: v1\nkind: List # head\nitems:\n# over a\n- {}  # over b\n- {}# last\n",
            pod("a").replace("kind: Pod", "kind: Pod # in a"),
            pod("b").replace("kind: Pod", "kind: Pod # in b"),
        );
        let text = ["first", "head", "over a", "in a", "a end", "over b", "in b", "b end", "last"]
            .iter()
            .fold(text, |text, mark| {
                text.replace(&format!("# {mark}\n"), &format!("# colocate: ignore HC001 because {mark}\n"))
            });
        let manifest = Manifest::new(&text);
        let document = manifest.documents().next().unwrap().unwrap();
        let objects = document.objects();
        let ends: Vec<_> = objects.iter().map(|object| document.value_span(&object.path).unwrap().end).collect();
        let owners = IgnoreComment::all(&document).into_iter().map(|comment| {
            let owner = comment.owner(&document, &ends).unwrap();
            (comment.ignore.unwrap().reason, objects[owner].path.to_string())
        });
        let owners: Vec<_> = owners.collect();
        let expected = [
            ("first", 0),
            ("head", 0),
            ("over a", 0),
            ("in a", 0),
            ("a end", 0),
            ("over b", 1),
            ("in b", 1),
            ("b end", 1),
            ("last", 1),
        ];
        assert_eq!(owners, expected.map(|(mark, item)| (mark.to_owned(), format!("items[{item}]"))));
    }
}
