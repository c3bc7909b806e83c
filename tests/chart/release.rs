//! The files of a release that need no compiler, as `release/files` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use colocate_harness::{Folder, programs, repository};

use crate::chart::{Rendered, name, render_for_in, yaml};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The parts of the repository that the files of a release depend on.
const PARTS: [&str; 7] = ["Cargo.toml", "CHANGELOG.md", "LICENSE", "charts", "examples", "image", "release"];

/// Copies the parts to `clone`, and writes the files of a release there. Returns the folder.
fn release(clone: &Path, settings: &[(&str, &str)]) -> PathBuf {
    fs::create_dir_all(clone).unwrap();
    for part in PARTS {
        copy(&repository(part), &clone.join(part));
    }
    let (programs, dist) = (clone.join("programs"), clone.join("dist"));
    fs::create_dir(&dist).unwrap();
    for arch in ["amd64", "arm64"] {
        let program = programs.join(arch).join("colocate");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        // Stands in for the static program.
        let script = format!("#!/bin/sh\n# {arch}\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_colocate"));
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", programs::folder().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    // Git creates the files of a clone with the permissions that the user's umask leaves.
    command
        .args(["-c", "umask \"$UMASK\" && chmod -R =rwX . && exec release/files \"$0\""])
        .arg(&dist)
        .current_dir(clone);
    command.env("PATH", path).env("PROGRAMS", &programs).env("ARCH", "amd64 arm64").env("UMASK", "022");
    command.env("SOURCE_DATE_EPOCH", "1700000000").env("HOME", clone).envs(settings.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dist
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        copy(&path, &to.join(path.file_name().unwrap()));
    }
}

/// Returns the content of each file in a folder and its subfolders, by its path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| {
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            files(&path).into_iter().map(|(inner, content)| (name.join(inner), content)).collect()
        } else {
            vec![(name, fs::read(&path).unwrap())]
        }
    });
    files.collect()
}

fn run(folder: &Path, line: &str) -> String {
    let output = Command::new("bash").args(["-c", line]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_clones_produce_the_same_files() {
    let folder = Folder::new(&[]);
    let first = files(&release(&folder.root().join("first"), &[]));
    let settings = [("UMASK", "077"), ("TZ", "Asia/Kolkata"), ("LC_ALL", "C.UTF-8"), ("LANGUAGE", "de")];
    let second = files(&release(&folder.root().join("a/second/clone"), &settings));
    let names: Vec<_> = first.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (path, content) in &first {
        assert!(second[path] == *content, "{} differs", path.display());
    }
    let package = format!("colocate-{VERSION}.tgz");
    for wanted in [
        "SHA256SUMS",
        "colocate-linux-amd64.tar.gz",
        "colocate-linux-arm64.tar.gz",
        &package,
        "completions/_colocate",
        "completions/colocate.bash",
        "completions/colocate.fish",
        "install.yaml",
        "krew.yaml",
        "man/colocate.1",
        "man/colocate-why.1",
    ] {
        assert!(names.contains(&wanted), "{wanted} is missing: {names:?}");
    }
}

#[test]
fn a_release_lists_its_checksums_and_those_for_krew() {
    let folder = Folder::new(&[]);
    let source = "https://git.example.org/team/colocate";
    let dist = release(folder.root(), &[("SOURCE", source)]);
    run(&dist, "sha256sum --strict --quiet --check SHA256SUMS");
    let listed = fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    assert_eq!(listed.lines().count() + 1, files(&dist).len());

    let krew = yaml(&fs::read_to_string(dist.join("krew.yaml")).unwrap());
    assert_eq!(krew["spec"]["homepage"], source);
    let platforms = krew["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2);
    for platform in platforms {
        let archive =
            format!("colocate-linux-{}.tar.gz", platform["selector"]["matchLabels"]["arch"].as_str().unwrap());
        assert_eq!(platform["uri"], format!("{source}/releases/download/v{VERSION}/{archive}"));
        let sum = platform["sha256"].as_str().unwrap();
        assert!(listed.contains(&format!("{sum}  {archive}\n")), "{sum} of {archive} is not in {listed}");
        let members = run(&dist, &format!("tar -tvf {archive}"));
        let has = |start: &str, end: &str| members.lines().any(|line| line.starts_with(start) && line.ends_with(end));
        assert!(has("-rwxr-xr-x 0/0 ", " colocate") && has("-rw-r--r-- 0/0 ", " LICENSE"), "{members}");
    }

    let one = Folder::new(&[]);
    let krew = fs::read_to_string(release(one.root(), &[("ARCH", "amd64")]).join("krew.yaml")).unwrap();
    let platforms = yaml(&krew)["spec"]["platforms"].as_array().unwrap().clone();
    assert_eq!(platforms.len(), 1, "a platform without an archive: {krew}");
    assert_eq!(platforms[0]["selector"]["matchLabels"]["arch"], "amd64");
}

#[test]
fn the_documents_and_the_workflow_name_the_files() {
    let read = |name: &str| fs::read_to_string(repository(name)).unwrap();
    let folder = Folder::new(&[]);
    let dist = release(folder.root(), &[]);
    let mut there: BTreeSet<_> =
        dist.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // `release/build` adds these, which need a compiler.
    let build = read("release/build");
    assert!(build.contains("\"$dist/colocate-$version-image.tar\"") && build.contains("image/sbom"));
    there.insert(format!("colocate-{VERSION}-image.tar"));
    assert!(build.contains(">\"$dist/BUILD.txt\""));
    there.insert("BUILD.txt".to_owned());
    there.extend(["amd64", "arm64"].map(|arch| format!("colocate-{VERSION}-{arch}.cdx.json")));

    let page = read("CONTRIBUTING.md");
    let table = page.lines().skip_while(|line| !line.starts_with("| file |")).take_while(|line| line.starts_with('|'));
    let names = table.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let documented: BTreeSet<_> = names
        .flat_map(|name| ["amd64", "arm64"].map(|arch| name.replace("ARCH", arch)))
        .map(|name| name.trim_end_matches('/').replace("VERSION", VERSION))
        .collect();
    assert_eq!(documented, there);

    let workflow = read(".github/workflows/release.yml");
    let used = workflow.split("dist/").skip(1).filter_map(|rest| rest.split(['"', ':', '\n', ' ']).next());
    let used: BTreeSet<_> = used.map(|name| name.replace("$version", VERSION)).collect();
    assert!(used.len() >= 3 && used.is_subset(&there), "{used:?}");
}

/// `tests/installation/manifest.rs` applies the file.
#[test]
fn install_yaml_is_the_chart_with_its_default_values() {
    let folder = Folder::new(&[]);
    let dist = release(folder.root(), &[("REGISTRY", "registry.example.com/team")]);
    let installed = Rendered::read(fs::read_to_string(dist.join("install.yaml")).unwrap());
    let mut chart = render_for_in("colocate", "1.29.0", "image: {registry: registry.example.com/team}");
    chart.retain(|object| object["metadata"]["annotations"]["helm.sh/hook"].is_null());
    let mut objects = installed.objects().to_vec();
    let home = objects.remove(0);
    assert_eq!(name(&home), "Namespace/colocate");
    for object in &mut chart {
        let labels = object["metadata"]["labels"].as_object_mut().unwrap();
        assert_eq!(labels.remove("app.kubernetes.io/managed-by").unwrap(), "Helm");
        labels.remove("helm.sh/chart").unwrap();
    }
    assert_eq!(objects, chart);
    assert!(objects.len() > 10, "{:?}", installed.names());
    assert!(!installed.text.to_lowercase().contains("helm.sh"), "{}", installed.text);
}
