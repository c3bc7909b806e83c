//! Machine-readable formats.

use colocate_harness::{Folder, Run};
use serde_json::{Value, json};

use super::{CLASS, DISABLE, LOCAL_ONLY, claim, deployment};

/// Returns files with an error, two infos, and two rules that cannot be checked.
fn folder() -> Folder {
    Folder::new(&[
        ("a: ü,1%.yaml", &deployment(&format!("{LOCAL_ONLY}: \"yes\", {DISABLE}: \"true\""))),
        ("b.yaml", &deployment(&format!("{LOCAL_ONLY}: \"true\"")).replace("claimName: data", "claimName: other")),
        ("storage/claim.yaml", &claim("ReadWriteOnce")),
        ("storage/class.yaml", CLASS),
    ])
}

fn run(format: &str) -> Run {
    folder().run(&format!("validate -f . --manifests storage -o {format}"))
}

#[test]
fn json_is_a_list_of_findings() {
    let run = run("json");
    assert_eq!(run.code, Some(1));
    let list: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    assert_eq!(list.len(), 3, "{}", run.out);
    let expected = json!({
        "rule": "HC001",
        "severity": "error",
        "message": "`yes` is not a boolean (Stork accepts 1 t T TRUE true True, 0 f F FALSE false False), so Stork uses its default, false",
        "remedy": "use \"true\" or \"false\"",
        "file": "./a: ü,1%.yaml",
        "line": 9,
        "column": 67,
        "object": {"kind": "Deployment", "namespace": "default", "name": "mysql"},
        "path": format!("spec.template.metadata.annotations[{LOCAL_ONLY}]"),
    });
    assert_eq!(list[0], expected);
    assert_eq!((&list[1]["severity"], &list[1]["rule"]), (&json!("info"), &json!("HC022")));
    // The list of findings cannot contain rules that could not be checked, so they go to standard error.
    assert!(run.err.contains("./b.yaml:9:21: unchecked[HC013] ") && !run.err.contains("colocate: "), "{}", run.err);

    let class = CLASS.replace("parameters: {", "parameters: {stork.libopenstorage.org/preferRemoteNode: no, ");
    let of_class = Folder::new(&[("class.yaml", &class)]).run("validate -f class.yaml -o json");
    let list: Vec<Value> = serde_json::from_str(&of_class.out).unwrap();
    assert_eq!(list[0]["object"], json!({"kind": "StorageClass", "namespace": null, "name": "px"}));
    assert_eq!(Folder::new(&[("class.yaml", CLASS)]).run("validate -f class.yaml -o json").out, "[]\n");
}

#[test]
fn github_gets_a_workflow_command_for_each_finding() {
    let run = run("github");
    assert_eq!(run.code, Some(1));
    let lines: Vec<_> = run.out.lines().collect();
    let expected = format!(
        "::error file=a%3A ü%2C1%25.yaml,line=9,endLine=9,col=67,endColumn=72,title=HC001%3A Stork does not recognize the value::`yes` is not a boolean (Stork accepts 1 t T TRUE true True, 0 f F FALSE false False), so Stork uses its default, false; use \"true\" or \"false\" (spec.template.metadata.annotations[{LOCAL_ONLY}])"
    );
    assert_eq!(lines[0], expected);
    let beginnings: Vec<_> = lines.iter().map(|line| line.split("::").nth(1).unwrap()).collect();
    let at = |line: &str, title: &str| format!("notice file={line},title={title}");
    let of_key = "a%3A ü%2C1%25.yaml,line=9,endLine=9,col=74,endColumn=122";
    assert_eq!(beginnings[1], at(of_key, "HC022%3A the opt-out prevents in-place restores of snapshots"));
    assert_eq!(beginnings[3], at("b.yaml,line=9,endLine=9,col=21,endColumn=65", "HC013%3A unchecked"));
    assert_eq!(lines.len(), 3 + 2, "{}", run.out);
    // Standard input has no file in a pull request.
    let run = Folder::new(&[]).run_with("validate -f - -o github", &deployment(&format!("{LOCAL_ONLY}: \"yes\"")));
    assert!(run.out.starts_with("::error title=HC001%3A "), "{}", run.out);
}

#[test]
fn sarif_has_the_rules_the_findings_and_unchecked_rules() {
    let run = run("sarif");
    assert_eq!(run.code, Some(1));
    let log: Value = serde_json::from_str(&run.out).unwrap();
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "colocate");
    let rule = &run["tool"]["driver"]["rules"][0];
    assert_eq!((&rule["id"], &rule["name"]), (&json!("HC001"), &json!("NoBoolean")));
    assert_eq!(rule["shortDescription"]["text"], "Stork does not recognize the value");
    assert_eq!(rule["helpUri"], "https://pkg.go.dev/strconv#ParseBool");
    assert_eq!(rule["defaultConfiguration"]["level"], "error");
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), colocate::companion::Rule::ALL.len());

    let results = run["results"].as_array().unwrap();
    let first = &results[0];
    let location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": "a%3A%20%C3%BC%2C1%25.yaml"},
            "region": {"startLine": 9, "startColumn": 67, "endLine": 9, "endColumn": 72},
        },
        "logicalLocations": [{"fullyQualifiedName": format!("spec.template.metadata.annotations[{LOCAL_ONLY}]"), "kind": "member"}],
    });
    assert_eq!((&first["ruleId"], &first["ruleIndex"], &first["level"]), (&json!("HC001"), &json!(0), &json!("error")));
    assert_eq!(first["locations"], json!([location]));
    assert!(first["message"]["text"].as_str().unwrap().ends_with("; use \"true\" or \"false\""), "{first}");
    let levels: Vec<_> = results.iter().map(|result| &result["level"]).collect();
    assert_eq!(levels, ["error", "note", "note"]);
    assert_eq!(results[1]["ruleIndex"], 21);

    let notifications = &run["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(notifications.as_array().unwrap().len(), 2);
    assert_eq!(
        (&notifications[0]["level"], &notifications[0]["associatedRule"]),
        (&json!("note"), &json!({"id": "HC013", "index": 12}))
    );
    let text = notifications[0]["message"]["text"].as_str().unwrap();
    assert!(text.starts_with("not checked: ") && text.contains("claim `other` is not in the files"), "{text}");
    assert_eq!(notifications[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "b.yaml");
}

#[test]
fn sarif_is_valid_according_to_its_schema() {
    // One pattern has a stray bracket, which a strict regular expression parser rejects.
    let schema = include_str!("../../fixtures/sarif-2.1.0.json").replace("{2}]?$", "{2}$");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let schema = jsonschema::draft7::options().should_validate_formats(true).build(&schema).unwrap();
    let nothing = Folder::new(&[("class.yaml", CLASS)]).run("validate -f class.yaml -o sarif").out;
    let piped = Folder::new(&[]).run_with("validate -f - -o sarif", &deployment(&format!("{LOCAL_ONLY}: \"yes\""))).out;
    let odd =
        Folder::new(&[("odd.yaml", "apiVersion: v1\nkind: Pod\nspec: []\n")]).run("validate -f odd.yaml -o sarif").out;
    let failed = [bad_folder().run("validate . -o sarif").out, bad_folder().run("validate empty -o sarif").out];
    for text in [&run("sarif").out, &nothing, &piped, &odd, &failed[0], &failed[1]] {
        let log: Value = serde_json::from_str(text).unwrap();
        let wrong: Vec<_> =
            schema.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let mut broken = log.clone();
        broken["runs"][0]["columnKind"] = json!("bytes");
        assert!(!schema.is_valid(&broken), "the schema accepts an invalid log");
    }
}

/// Returns a file with a finding, one that cannot be parsed, and one that is not text.
fn bad_folder() -> Folder {
    let folder = Folder::new(&[
        ("a.yaml", &deployment(&format!("{LOCAL_ONLY}: \"yes\""))),
        ("bad.yaml", "a: b\n c: d\n"),
        ("empty/notes.txt", ""),
    ]);
    std::fs::write(folder.path("text.yaml"), b"a: 1\nb: caf\xe9\n").unwrap();
    folder
}

#[test]
fn every_format_is_complete_although_a_file_fails() {
    let folder = bad_folder();
    let run = |format: &str| {
        let run = folder.run(&format!("validate . absent.yaml -o {format}"));
        assert_eq!(run.code, Some(1), "{format}");
        for part in [
            "./bad.yaml:2:3: mapping values are not allowed in this context\n  2 |  c: d\n    |   ^\n",
            "./text.yaml:2:7: the byte 0xE9 is not valid UTF-8",
            "colocate: cannot read absent.yaml: No such file",
        ] {
            assert!(run.err.contains(part), "{format}: {}", run.err);
        }
        run.out
    };
    let list: Vec<Value> = serde_json::from_str(&run("json")).unwrap();
    assert_eq!((list.len(), &list[0]["rule"]), (1, &json!("HC001")));

    let log: Value = serde_json::from_str(&run("sarif")).unwrap();
    let (invocation, results) = (&log["runs"][0]["invocations"][0], &log["runs"][0]["results"]);
    assert_eq!((&invocation["executionSuccessful"], results.as_array().unwrap().len()), (&json!(false), 1));
    let notifications = invocation["toolExecutionNotifications"].as_array().unwrap();
    let error = notifications.iter().find(|one| !one["locations"][0].is_null()).unwrap();
    assert_eq!(
        (&error["level"], &error["message"]["text"]),
        (&json!("error"), &json!("mapping values are not allowed in this context"))
    );
    let place = &error["locations"][0]["physicalLocation"];
    assert_eq!(*place, json!({"artifactLocation": {"uri": "bad.yaml"}, "region": {"startLine": 2, "startColumn": 3}}));

    let commands = run("github");
    for command in [
        "::error file=bad.yaml,line=2,col=3,title=colocate::mapping values are not allowed in this context\n",
        "::error title=colocate::cannot read absent.yaml: No such file",
        "::error file=a.yaml,line=9,",
    ] {
        assert!(commands.contains(command), "{commands}");
    }
}

#[test]
fn every_format_is_complete_although_nothing_can_be_checked() {
    let folder = bad_folder();
    std::fs::write(folder.path("config.txt"), "no: key\n").unwrap();
    for (arguments, what) in
        [("empty", "no YAML document found in empty"), ("a.yaml --config config.txt", "unknown key `no`")]
    {
        let run = |format: &str| {
            let run = folder.run(&format!("validate {arguments} -o {format}"));
            assert_eq!(run.code, Some(1), "{format}");
            assert_eq!(run.err.matches(what).count(), 1, "{}", run.err);
            run.out
        };
        assert_eq!(run("json"), "[]\n");
        let log: Value = serde_json::from_str(&run("sarif")).unwrap();
        let invocation = &log["runs"][0]["invocations"][0];
        assert_eq!((&invocation["executionSuccessful"], &log["runs"][0]["results"]), (&json!(false), &json!([])));
        let text = invocation["toolExecutionNotifications"][0]["message"]["text"].as_str().unwrap();
        assert!(text.contains(what), "{text}");
        assert!(run("github").starts_with("::error title=colocate::"));
    }
}
