//! Searches in directories of every shape.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

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
    let texts: Vec<_> = found.sources.iter().map(Source::text).collect();
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
fn a_gitignore_above_the_repository_does_not_count() {
    // As in a home directory whose dotfiles are kept in Git.
    let directory =
        Directory::new(&[(".gitignore", "*\n"), ("p/.gitignore", "b.yaml\n"), ("p/a.yaml", ""), ("p/b.yaml", "")]);
    for above in [false, true] {
        if above {
            fs::create_dir(directory.path(".git")).unwrap();
        }
        fs::create_dir_all(directory.path("p/.git")).unwrap();
        assert_eq!(directory.files(&[], &["p"]), ["p/a.yaml"]);
    }
    fs::remove_dir(directory.path("p/.git")).unwrap();
    assert_eq!(directory.files(&[], &["p"]), [""; 0]);
}

#[test]
fn a_link_to_a_directory_has_the_gitignore_of_its_target() {
    let directory =
        Directory::new(&[("r/.git/config", ""), ("r/.gitignore", "b.yaml\n"), ("r/d/a.yaml", ""), ("r/d/b.yaml", "")]);
    symlink(directory.path("r/d"), directory.path("link")).unwrap();
    assert_eq!(directory.files(&[], &["link"]), ["link/a.yaml"]);
}

#[test]
fn hidden_files_that_git_does_not_ignore_stay_hidden() {
    let directory =
        Directory::new(&[(".gitignore", "*\n!*/\n!*.yaml\n"), ("a.yaml", ""), (".b/c.yaml", ""), (".d.yaml", "")]);
    assert_eq!(directory.files(&[], &[""]), ["a.yaml"]);
    assert_eq!(directory.files(&[], &[".b"]), [".b/c.yaml"]);
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
}

#[test]
fn a_glob_may_be_a_path_as_in_a_shell() {
    let pattern = |glob: &str| of_path(glob, Path::new("/a/[b]"));
    for (glob, expected) in [
        ("./c/d.yaml", "/c/d.yaml"),
        ("!.//c/./*.yaml", "!/c/*.yaml"),
        ("./c/", "/c/"),
        ("../[b]/c", "/a/[b]/c"),
        ("../e", "/a/e"),
        ("../../../e/../f", "/f"),
        ("./../\\[b\\]/c", "/c"),
        ("/a/[b]/c/", "/c/"),
    ] {
        assert_eq!(pattern(glob).as_deref(), Some(expected), "{glob}");
    }
    for glob in ["c", "c/d", "*.yaml", "/c", "/a", ".c", "..c", "!/c"] {
        assert_eq!(pattern(glob), None, "{glob}");
    }
}

#[test]
fn an_excluded_directory_is_not_read() {
    let directory = Directory::new(&[("a.yaml", ""), ("closed/b.yaml", "")]);
    let set_mode = |mode| fs::set_permissions(directory.path("closed"), fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0);
    // Root reads everything.
    if directory.path("closed").read_dir().is_err() {
        let errors = directory.find(&[], &[""]).errors;
        let ReadError::Unreadable { path, source } = &errors[0] else { panic!("{errors:?}") };
        assert_eq!((path, &*source.to_string()), (&directory.path("closed"), "Permission denied (os error 13)"));
    }
    assert_eq!(directory.files(&["closed"], &[""]), ["a.yaml"]);
    set_mode(0o755);
}

#[test]
fn an_invalid_pattern_is_reported_once_and_the_others_apply() {
    let directory = Directory::new(&[
        ("a/a.yaml", ""),
        ("b/.colocateignore", "\u{feff}c.yaml\r\n{x\r\n{y\r\nd.yaml\r\n"),
        ("b/b.yaml", ""),
        ("b/c.yaml", ""),
        ("b/d.yaml", ""),
        ("e/.colocateignore/f", ""),
        ("e/e.yaml", ""),
        ("g/g.yaml", ""),
        ("i/i.yaml", ""),
        ("outside", "{x\n"),
    ]);
    symlink(directory.path("outside"), directory.path("i/.colocateignore")).unwrap();
    fs::write(directory.path("g/.colocateignore"), b"h.yaml\n\xe9").unwrap();
    let found = directory.find(&[], &["", "b/b.yaml"]);
    let files = found.sources.iter().map(|source| source.path.as_ref().unwrap());
    assert!(files.eq(&["a/a.yaml", "b/b.yaml", "e/e.yaml", "g/g.yaml", "i/i.yaml"].map(|name| directory.path(name))));
    let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
    let at = |name: &str, rest: &str| format!("{}{rest}", directory.path(name).display());
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(errors[0].starts_with(&at("b/.colocateignore", ":2:1: invalid pattern: ")), "{errors:?}");
    assert!(errors[1].starts_with(&at("b/.colocateignore", ":3:1: invalid pattern: ")), "{errors:?}");
    assert_eq!(errors[2], format!("cannot read {}", directory.path("e/.colocateignore").display()));
    assert!(errors[3].starts_with(&at("g/.colocateignore", ":2:1: the byte 0xE9 is not valid UTF-8")), "{errors:?}");
    assert_eq!(errors[4], format!("cannot read {}", directory.path("i/.colocateignore").display()));
    let cause = std::error::Error::source(&found.errors[4]).unwrap().to_string();
    assert!(cause.starts_with("it is a symbolic link, which is not followed"), "{cause}");
}

#[test]
fn standard_input_and_pipes_are_read_once_and_are_in_no_folder() {
    let directory = Directory::new(&[("a.yaml", "file")]);
    // Not a regular file either.
    let pipe = PathBuf::from("/dev/null");
    let paths = ["/dev/stdin".into(), pipe.clone(), directory.path("a.yaml")];
    let (mut left, mut read) = (vec!["2", "1"], Vec::new());
    let found = FileSearch::new(&[]).unwrap().find_with(&paths, &mut |path| {
        read.push(path.to_owned());
        Ok(Kept::from(Vec::from(left.pop().unwrap())))
    });
    assert_eq!(read, [Path::new("/dev/stdin"), &pipe]);
    let sources: Vec<_> = found.sources.iter().map(|s| (&*s.name, s.path.as_deref(), s.text())).collect();
    let (name, file) = (pipe.display().to_string(), directory.path("a.yaml"));
    let expected = [
        ("standard input", None, "1".into()),
        (&*name, None, "2".into()),
        (file.to_str().unwrap(), Some(&*file), "file".into()),
    ];
    assert_eq!(sources, expected);
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
