//! An answer of `colocate why`, which matches its schema.

use std::fs;
use std::path::Path;
use std::process::Command;

use colocate_harness::repository;
use serde_json::Value;

/// An answer of `colocate why`.
pub(super) struct Answer {
    pub(super) code: Option<i32>,
    pub(super) text: String,
    pub(super) json: Value,
}

impl Answer {
    pub(super) fn verdict(&self) -> &str {
        self.json["verdict"].as_str().unwrap_or_default()
    }

    /// Returns all evidence as one text.
    pub(super) fn evidence(&self) -> String {
        self.json["evidence"].to_string()
    }
}

/// Runs the command twice, for people and as JSON, with these arguments after the object.
pub(super) fn why(kubeconfig: &Path, namespace: &str, object: &str, arguments: &[&str]) -> Answer {
    let run = |output: &str| {
        Command::new(env!("CARGO_BIN_EXE_colocate"))
            .args(["why", object, "-n", namespace, "-o", output])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .output()
            .expect("the colocate binary is built")
    };
    let (text, document) = (run("text"), run("json"));
    let stderr = String::from_utf8_lossy(&document.stderr).into_owned();
    assert_eq!(text.status.code(), document.status.code(), "-o must not change the exit code: {stderr}");
    let text = String::from_utf8(text.stdout).expect("the text is UTF-8");
    let json = serde_json::from_slice(&document.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let answer = Answer { code: document.status.code(), text, json };
    println!("$ colocate why {object} -n {namespace} {}\n{}", arguments.join(" "), answer.text);
    check_schema(&answer.json);
    answer
}

pub(super) fn check_schema(document: &Value) {
    let schema = fs::read(repository("docs/schemas/why.json")).expect("the schema exists");
    let schema: Value = serde_json::from_slice(&schema).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is valid");
    let errors: Vec<_> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}
