//! The steps of a workflow, run as by GitHub's runner.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use colocate_harness::repository;

use crate::project::{Project, own};

/// The name of the action in the examples.
pub(crate) const ACTION: &str = "example/colocate@v0.2.0";

/// A job on a runner. It runs the scripts of its steps, and those of colocate's action. It records which other actions the
/// job uses.
pub(crate) struct Job<'p> {
    project: &'p Project,
    /// The values of expressions such as `inputs.paths`.
    context: BTreeMap<String, String>,
    /// The exit code of the first step that failed.
    pub(crate) failed: Option<i32>,
    /// The outputs of all steps.
    pub(crate) log: String,
    /// The other actions, each with its inputs.
    pub(crate) used: Vec<(String, BTreeMap<String, String>)>,
}

impl<'p> Job<'p> {
    /// Runs the only job of a workflow.
    pub(crate) fn run(project: &'p Project, workflow: &str) -> Self {
        let workflow: Value = serde_saphyr::from_str(workflow).expect("the workflow is YAML");
        let jobs: Vec<_> = workflow["jobs"].as_object().expect("the workflow has jobs").values().collect();
        let [job] = jobs[..] else { panic!("the workflow has {} jobs", jobs.len()) };
        let temporary = project.outside("runner");
        fs::create_dir_all(&temporary).unwrap();
        let context = [("runner.os", "Linux"), ("runner.arch", "X64"), ("runner.temp", temporary.to_str().unwrap())];
        let context = context.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut run = Self { project, context, failed: None, log: String::new(), used: Vec::new() };
        run.steps(&job["steps"], &["-e"]);
        run
    }

    /// Runs steps. `flags` are those of bash, if a step does not name its shell.
    fn steps(&mut self, steps: &Value, flags: &[&str]) {
        for step in steps.as_array().expect("there are steps") {
            if !self.holds(step["if"].as_str().unwrap_or_default()) {
                continue;
            }
            match step["uses"].as_str() {
                Some(ACTION) => self.action(step),
                Some(action) => {
                    let inputs = self.mapping(&step["with"]);
                    self.used.push((action.to_owned(), inputs));
                }
                None if step["shell"] == "bash" => self.script(step, &["--noprofile", "--norc", "-eo", "pipefail"]),
                None => self.script(step, flags),
            }
        }
    }

    /// Runs the steps of colocate's action.
    fn action(&mut self, step: &Value) {
        let action: Value = serde_saphyr::from_str(&own("action.yml")).expect("the action is YAML");
        let inputs = action["inputs"].as_object().expect("the action has inputs");
        let given = self.mapping(&step["with"]);
        for (name, input) in inputs {
            let value = given.get(name).map_or_else(|| text(&input["default"]), Clone::clone);
            self.context.insert(format!("inputs.{name}"), value);
        }
        assert!(given.keys().all(|name| inputs.contains_key(name)), "the action does not have all of {given:?}");
        self.steps(&action["runs"]["steps"], &[]);
    }

    fn script(&mut self, step: &Value, flags: &[&str]) {
        let temporary = Path::new(&self.context["runner.temp"]).to_owned();
        let [script, output] = ["script", "output"].map(|name| temporary.join(name));
        fs::write(&script, self.expand(step["run"].as_str().expect("the step has a script"))).unwrap();
        fs::write(&output, "").unwrap();
        let mut bash = Command::new("bash");
        bash.args(flags).arg(&script).envs(self.mapping(&step["env"]));
        bash.env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_OUTPUT", &output)
            .env("RUNNER_TEMP", &temporary);
        bash.env("GITHUB_WORKSPACE", self.project.root()).env("GITHUB_ACTION_PATH", repository(""));
        let run = self.project.run(&mut bash);
        self.log += &(run.out + &run.err);
        if run.code != Some(0) {
            self.failed = self.failed.or(run.code);
        }
        if let Some(id) = step["id"].as_str() {
            let outputs = fs::read_to_string(output).unwrap();
            let outputs = outputs.lines().filter_map(|line| line.split_once('='));
            let outputs = outputs.map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value.to_owned()));
            self.context.extend(outputs);
        }
    }

    /// Evaluates the condition of a step, which is a conjunction.
    fn holds(&self, condition: &str) -> bool {
        let condition = condition.trim().trim_start_matches("${{").trim_end_matches("}}");
        let terms: Vec<_> = condition.split("&&").map(str::trim).filter(|term| !term.is_empty()).collect();
        let after_failure = terms.iter().any(|term| matches!(*term, "always()" | "!cancelled()"));
        let holds = |term: &&str| match *term {
            "always()" | "!cancelled()" => true,
            term => {
                let unequal = term.contains(" != ");
                let (name, literal) = term.split_once(if unequal { " != " } else { " == " }).expect("a comparison");
                (self.value(name) == literal.trim_matches('\'')) != unequal
            }
        };
        (after_failure || self.failed.is_none()) && terms.iter().all(holds)
    }

    /// Returns the entries of a mapping as text, with their expressions evaluated.
    fn mapping(&self, mapping: &Value) -> BTreeMap<String, String> {
        let entries = mapping.as_object().into_iter().flatten();
        entries.map(|(name, value)| (name.clone(), self.expand(&text(value)))).collect()
    }

    /// Evaluates the expressions in a text.
    fn expand(&self, text: &str) -> String {
        let mut parts = text.split("${{");
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once("}}").expect("the expression ends");
            expanded += &(self.value(name) + rest);
        }
        expanded
    }

    fn value(&self, name: &str) -> String {
        let value = self.context.get(name.trim()).cloned();
        // The outputs of a step that was skipped are empty.
        value
            .or_else(|| name.trim().starts_with("steps.").then(String::new))
            .unwrap_or_else(|| panic!("unknown: {name}"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
