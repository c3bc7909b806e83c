//! `-o junit`.

use std::collections::BTreeMap;
use std::fs;

use colocate_harness::Folder;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{LOCAL_ONLY, claim, deployment};

/// An element of a report, with its text.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn begin(start: &BytesStart<'_>) -> Self {
        let attribute = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
            let attribute = attribute.unwrap();
            let value = quick_xml::escape::unescape(&attribute.value).unwrap().into_owned();
            (attribute.key.as_ref().to_owned(), value)
        };
        let attributes = start.attributes().map(attribute).collect();
        Self { name: start.name().as_ref().to_owned(), attributes, ..Self::default() }
    }

    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// Parses a report, and checks the structure that its readers rely on. Returns its suites.
fn suites(text: &str) -> Vec<Element> {
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), "{text}");
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => open.push(Element::begin(&start)),
            Event::Empty(start) => open.last_mut().unwrap().children.push(Element::begin(&start)),
            Event::End(_) => {
                let element = open.pop().unwrap();
                open.last_mut().unwrap().children.push(element);
            }
            Event::Text(text) => open.last_mut().unwrap().text += &*text,
            Event::GeneralRef(reference) => {
                let name = format!("&{};", &*reference);
                open.last_mut().unwrap().text += &quick_xml::escape::unescape(&name).unwrap();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open.len(), 1, "an element is not closed");
    let mut roots = open.remove(0).children;
    assert_eq!((roots.len(), roots[0].name.as_str()), (1, "testsuites"));
    let suites = roots.remove(0).children;
    for suite in &suites {
        assert_eq!(suite.name, "testsuite");
        let count = |name: &str| {
            suite.children.iter().filter(|case| case.children.iter().any(|child| child.name == name)).count()
        };
        let counts =
            [suite.children.len(), count("failure"), count("error"), count("skipped")].map(|count| count.to_string());
        let declared = ["tests", "failures", "errors", "skipped"].map(|name| suite.attribute(name).to_owned());
        assert_eq!(counts, declared, "{suite:?}");
        for case in &suite.children {
            assert!(
                case.name == "testcase"
                    && !case.attribute("name").is_empty()
                    && !case.attribute("classname").is_empty()
            );
            let results = case.children.iter().filter(|child| child.name != "system-out").count();
            assert!(results <= 1 && case.children.len() <= 2, "{case:?}");
        }
    }
    suites
}

/// Returns each test case as `suite | name | line | result | message`.
fn cases(suites: &[Element]) -> Vec<String> {
    let cases = suites.iter().flat_map(|suite| {
        suite.children.iter().map(|case| {
            let result = case.children.iter().find(|child| child.name != "system-out");
            let (name, message) = result.map_or(("passed", ""), |result| (&*result.name, result.attribute("message")));
            [suite.attribute("name"), case.attribute("name"), case.attribute("line"), name, message].join(" | ")
        })
    });
    cases.collect()
}

#[test]
fn each_object_is_a_test_case_in_the_suite_of_its_file() {
    // XML has no U+FFFF.
    let key = "\"stork.libopenstorage.org/a\\uFFFF<b>&'\": x";
    let bad = deployment(&format!("{LOCAL_ONLY}: \"yes\", {key}"));
    let local = deployment(&format!("{LOCAL_ONLY}: \"true\"")).replace("name: mysql}", "name: local}");
    let ignored =
        format!("# colocate: ignore HC001 because <x> & \"y\"\n{}", deployment(&format!("{LOCAL_ONLY}: \"yes\"")));
    let folder = Folder::new(&[
        ("a/one & two.yaml", &format!("{bad}---\n{}", claim("ReadWriteOnce"))),
        ("b.yaml", &local),
        ("c.yaml", &ignored),
        ("values.yaml", "a: b\n"),
    ]);
    let run = folder.run("validate . -o junit");
    assert_eq!(run.code, Some(1));
    let found = suites(&run.out);
    let cases = cases(&found);
    let of_b = cases.iter().find(|case| case.starts_with("b.yaml")).unwrap();
    let gap = "HC013 not checked: preferLocalNodeOnly on a pod without a Portworx claim: claim `data`: it is described only in other folders (./a/one & two.yaml:14:1)";
    assert!(of_b.starts_with(&format!("b.yaml | Deployment default/local | 1 | skipped | {gap}")), "{of_b}");
    let others: Vec<_> = cases.iter().filter(|case| !case.starts_with("b.yaml")).map(String::as_str).collect();
    let expected = [
        "a/one & two.yaml | Deployment default/mysql | 1 | failure | HC001: `yes` is not a boolean (Stork accepts 1 t T TRUE true True, 0 f F FALSE false False), so Stork uses its default, false",
        "a/one & two.yaml | PersistentVolumeClaim default/data | 14 | passed | ",
        "c.yaml | Deployment default/mysql | 2 | skipped | HC001 ignored: <x> & \"y\"",
        "values.yaml | values.yaml |  | passed | ",
    ];
    assert_eq!(others, expected);
    let case = &found[0].children[0];
    assert_eq!((case.attribute("classname"), case.attribute("file")), ("a/one & two.yaml", "a/one & two.yaml"));
    let (failure, output) = (&case.children[0], &case.children[1]);
    assert_eq!(failure.attribute("type"), "HC001");
    assert!(
        failure.text.starts_with("./a/one & two.yaml:9:67: error[HC001] `yes` is not a boolean"),
        "{}",
        failure.text
    );
    assert!(
        failure.text.ends_with("= help: use \"true\" or \"false\"\n") && !failure.text.contains("HC004"),
        "{}",
        failure.text
    );
    assert!(output.name == "system-out" && output.text.contains(" warning[HC004] "), "{output:?}");
    assert!(output.text.contains("`stork.libopenstorage.org/a\u{fffd}<b>&'`"), "{output:?}");
    assert!(!run.out.contains('\u{ffff}'));
}

#[test]
fn findings_from_the_severity_of_fail_on_are_failures() {
    let folder =
        Folder::new(&[("a.yaml", &deployment(&format!("{LOCAL_ONLY}: \"yes\", stork.libopenstorage.org/unknown: x")))]);
    let run = folder.run("validate a.yaml -o junit --fail-on warning");
    let found = suites(&run.out);
    let case = &found[0].children[0];
    assert_eq!((case.children.len(), case.children[0].attribute("type")), (1, "HC001"));
    assert!(case.children[0].attribute("message").ends_with(", false (and 1 more)"), "{case:?}");
    assert!(case.children[0].text.contains("warning[HC004]"), "{case:?}");
}

#[test]
fn a_report_is_complete_although_files_and_the_run_fail() {
    let folder = Folder::new(&[
        ("a.yaml", "a: b\n c: d\n"),
        ("chart/Chart.yaml", "name: c\n"),
        ("chart/templates/t.yaml", "a"),
        ("empty/x.txt", ""),
    ]);
    fs::write(folder.path("text.yaml"), b"a: 1\nb: caf\xe9\n").unwrap();
    let run = folder.run("validate . absent.yaml -o junit");
    assert_eq!(run.code, Some(1));
    let found = cases(&suites(&run.out));
    let begins = [
        "a.yaml | line 2 | 2 | error | mapping values are not allowed in this context",
        "chart/Chart.yaml | chart/Chart.yaml |  | passed | ",
        "text.yaml | line 2 | 2 | error | the byte 0xE9 is not valid UTF-8",
        "colocate | cannot read absent.yaml: No such file",
        "colocate | ./chart/templates: skipped: ",
    ];
    assert_eq!(found.len(), begins.len(), "{found:#?}");
    assert!(found.iter().zip(begins).all(|(case, begin)| case.starts_with(begin)), "{found:#?}");
    let run = folder.run("validate empty -o junit");
    assert_eq!((run.code, cases(&suites(&run.out)).len()), (Some(1), 1));
    let piped = Folder::new(&[]).run_with("validate - -o junit", &deployment("a: b"));
    assert_eq!(cases(&suites(&piped.out)), ["standard input | Deployment default/mysql | 1 | passed | "]);
}
