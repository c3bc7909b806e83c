//! The packaged chart, as a registry gets it.

use std::process::{Command, Output};

use colocate_harness::{Folder, programs, repository};
use serde_json::{Value, json};

use crate::chart::{file, helm, render_file, yaml};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs `charts/package` with these variables. The package is in the folder.
fn package(folder: &Folder, variables: &[(&str, &str)]) -> Output {
    let path = format!("{}:{}", programs::folder().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(repository("charts/package"));
    command.arg(folder.root()).env("PATH", path).envs(variables.iter().copied());
    command.output().unwrap()
}

/// Returns Chart.yaml of the package that the script names.
fn metadata(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let package = String::from_utf8_lossy(&output.stdout);
    let shown = helm(&["show", "chart", package.trim()], "");
    yaml(&String::from_utf8(shown.stdout).unwrap())
}

#[test]
fn a_package_names_its_image_changes_and_source() {
    let changes = format!(
        r#"
## [Unreleased]

- Not released.

## [{VERSION}] - 2026-01-01

### Added

- `colocate why`: says "why" it's so, as [this page](docs/why.md) and
  v1.2 explain \o/. More about it.
- Another: change

### Fixed

- A fault.

## [0.0.1]

- Older.
"#
    );
    let folder = Folder::new(&[("CHANGES.md", &changes)]);
    let changes = folder.root().join("CHANGES.md");
    let variables = [
        ("CHANGES", changes.to_str().unwrap()),
        ("REGISTRY", "registry.example.com/team"),
        ("SOURCE", "https://git.example.com/colocate"),
    ];
    let chart = metadata(&package(&folder, &variables));
    let image = format!("registry.example.com/team/colocate:{VERSION}");
    let annotation = |name: &str| yaml(chart["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap());
    assert_eq!(annotation("images"), json!([{"name": "colocate", "image": image}]));
    let wanted = [
        ("added", r#"`colocate why`: says "why" it's so, as this page and v1.2 explain \o/."#),
        ("added", "Another: change"),
        ("fixed", "A fault."),
    ];
    let wanted = wanted.map(|(kind, description)| json!({"kind": kind, "description": description}));
    assert_eq!(annotation("changes"), json!(wanted));
    assert_eq!(chart["home"], "https://git.example.com/colocate");
    assert_eq!(chart["sources"], json!(["https://git.example.com/colocate"]));
    let maintainers = json!([{"name": "colocate maintainers", "url": "https://git.example.com/colocate"}]);
    assert_eq!(chart["maintainers"], maintainers);
    let icon = format!("https://git.example.com/colocate/raw/v{VERSION}/");
    let icon = chart["icon"].as_str().unwrap().strip_prefix(&icon).unwrap();
    assert!(repository(icon).is_file(), "{icon} does not exist");

    let path = folder.root().join(format!("colocate-{VERSION}.tgz"));
    let values = String::from_utf8(helm(&["show", "values", path.to_str().unwrap()], "").stdout).unwrap();
    let runbooks = format!("https://git.example.com/colocate/blob/v{VERSION}/docs/runbooks.md#");
    assert_eq!(yaml(&values)["prometheusRule"]["runbookUrlPrefix"], runbooks);
    let rendered = render_file(&path);
    assert_eq!(rendered.text_at("Deployment/colocate", "/spec/template/spec/containers/0/image"), image);
}

#[test]
fn a_package_without_variables_is_the_chart_in_the_clone() {
    let folder = Folder::new(&[("CHANGES.md", "## [Unreleased]\n\n### Added\n\n- Not released.\n")]);
    let changes = folder.root().join("CHANGES.md");
    let chart = metadata(&package(&folder, &[("CHANGES", changes.to_str().unwrap())]));
    assert_eq!(chart, yaml(&file("Chart.yaml")));
}
