//! Searches in directories of every shape.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn find(&self, excluded: &[&str], paths: &[&str]) -> Found {
        let excluded: Vec<_> = excluded.iter().map(|glob| (*glob).to_owned()).collect();
        let paths: Vec<_> = paths.iter().map(|path| self.path(path)).collect();
        FileSearch::new(&excluded).unwrap().find(&paths)
    }

    /// The files and charts that are found, relative to the directory.
    #[track_caller]
    fn found(&self, excluded: &[&str], paths: &[&str]) -> (Vec<String>, Vec<String>) {
        let found = self.find(excluded, paths);
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        let relative = |path: &Path| path.strip_prefix(self.0.path()).unwrap().display().to_string();
        let files = found.sources.iter().map(|source| relative(source.path.as_ref().unwrap()));
        (files.collect(), found.charts.iter().map(|path| relative(path)).collect())
    }

    #[track_caller]
    fn files(&self, excluded: &[&str], paths: &[&str]) -> Vec<String> {
        let (files, charts) = self.found(excluded, paths);
        assert_eq!(charts, [""; 0]);
        files
    }
}

#[test]
fn a_directory_stands_for_its_manifests_without_hidden_files() {
    let directory = Directory::new(&[
        ("c.json", ""),
        ("a.yaml", ""),
        ("b/d.yml", ""),
        ("b/.git/e.yaml", ""),
        (".f.yaml", ""),
        ("g.txt", ""),
    ]);
    symlink(directory.path("a.yaml"), directory.path("link.yaml")).unwrap();
    assert_eq!(directory.files(&[], &[""]), ["a.yaml", "b/d.yml", "c.json"]);
    assert_eq!(directory.files(&[], &["g.txt", ".f.yaml"]), ["g.txt", ".f.yaml"], "a named file may have any name");
}

#[test]
fn a_file_that_is_named_twice_is_found_once() {
    let directory = Directory::new(&[("b.yaml", "b"), ("a.yaml", "a")]);
    symlink(directory.path("b.yaml"), directory.path("link")).unwrap();
    let found = directory.find(&[], &["b.yaml", "./b.yaml", "link", "", "b.yaml"]);
    let texts: Vec<_> = found.sources.iter().map(|source| source.read().unwrap()).collect();
    assert_eq!(texts, ["b", "a"]);
}

#[test]
fn every_unreadable_path_is_reported() {
    let directory = Directory::new(&[("a.yaml", "a")]);
    let found = directory.find(&[], &["absent", "a.yaml", "other"]);
    let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
    assert!(errors.len() == 2 && errors[0].contains("absent") && errors[1].contains("other"), "{errors:?}");
    assert_eq!(found.sources.len(), 1);
}

#[test]
fn gitignore_is_honoured_in_directories_but_not_for_named_files() {
    let directory = Directory::new(&[
        (".gitignore", "vendor/\n*.gen.yaml\n"),
        ("a.yaml", ""),
        ("a.gen.yaml", ""),
        ("vendor/b.yaml", ""),
        ("sub/.gitignore", "c.yaml\n!d.gen.yaml\n"),
        ("sub/c.yaml", ""),
        ("sub/d.gen.yaml", ""),
    ]);
    assert_eq!(directory.files(&[], &[""]), ["a.yaml", "sub/d.gen.yaml"]);
    assert_eq!(directory.files(&[], &["a.gen.yaml", "vendor/b.yaml"]), ["a.gen.yaml", "vendor/b.yaml"]);
    // Ignore files above a directory apply only in a repository.
    assert_eq!(directory.files(&[], &["vendor"]), ["vendor/b.yaml"]);
    fs::create_dir(directory.path(".git")).unwrap();
    assert_eq!(directory.files(&[], &["sub"]), ["sub/d.gen.yaml"]);
}

#[test]
fn excluded_files_are_left_out_even_if_they_are_named() {
    let directory = Directory::new(&[
        (".colocateignore", "# generated\n/gen/\n*.tmp.yaml\n"),
        ("a.yaml", ""),
        ("a.tmp.yaml", ""),
        ("gen/deep/b.yaml", ""),
        ("sub/.colocateignore", "!keep.tmp.yaml\n"),
        ("sub/keep.tmp.yaml", ""),
        ("sub/gen/c.yaml", ""),
        (".git/config", ""),
    ]);
    assert_eq!(directory.files(&[], &[""]), ["a.yaml", "sub/gen/c.yaml", "sub/keep.tmp.yaml"]);
    let named = ["a.yaml", "a.tmp.yaml", "gen/deep/b.yaml", "gen", "sub/keep.tmp.yaml"];
    assert_eq!(directory.files(&[], &named), ["a.yaml", "sub/keep.tmp.yaml"]);
    assert_eq!(directory.files(&["sub/", "a.y*"], &["", "a.yaml"]), [""; 0]);
    assert_eq!(directory.files(&["*.yaml", "!a.yaml"], &[""]), ["a.yaml"]);
    assert!(FileSearch::new(&["{a".to_owned()]).is_err());
    fs::write(directory.path(".colocateignore"), "{a").unwrap();
    let error = directory.find(&[], &["a.yaml"]).errors.remove(0).to_string();
    assert!(error.contains(".colocateignore: ") && error.contains("{a"), "{error}");
}

#[test]
fn the_templates_of_charts_are_skipped_and_reported_once() {
    let directory = Directory::new(&[
        ("app/Chart.yaml", ""),
        ("app/values.yaml", ""),
        ("app/templates/a.yaml", "{{"),
        ("app/templates/deep/b.yaml", "{{"),
        ("app/charts/sub/Chart.yaml", ""),
        ("app/charts/sub/templates/c.yaml", "{{"),
        ("other/templates/d.yaml", ""),
        ("library/Chart.yaml", ""),
    ]);
    let files = ["app/Chart.yaml", "app/charts/sub/Chart.yaml", "app/values.yaml", "library/Chart.yaml"];
    let with_other = [&files[..], &["other/templates/d.yaml"]].concat();
    assert_eq!(directory.found(&[], &[""]), (with_other.iter().map(|&name| name.into()).collect(), vec!["app".into()]));
    for named in [["app/templates/deep/b.yaml", "app/templates"], ["app/templates/a.yaml", "app/templates/deep"]] {
        assert_eq!(directory.found(&[], &named), (vec![], vec!["app".into()]));
    }
    assert_eq!(directory.found(&["templates/"], &["app"]).1, [""; 0]);
    assert_eq!(directory.found(&["app"], &[""]).1, [""; 0]);
    assert_eq!(directory.files(&["**/app/templates"], &["app/templates/a.yaml"]), [""; 0]);
}
