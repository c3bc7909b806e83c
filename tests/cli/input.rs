//! The ways in which files are named, and files that are left out.

use colocate_harness::{ApiServer, CLAIM, CLASS, DEPLOYMENT, Folder, program};

use super::mutate::mutated;

/// Returns the MySQL example next to a chart, as in many repositories.
fn with_chart() -> Folder {
    Folder::new(&[
        ("deploy/class.yaml", CLASS),
        ("deploy/claim.yaml", CLAIM),
        ("deploy/deployment.yaml", DEPLOYMENT),
        ("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
        ("chart/values.yaml", "replicas: 1\n"),
        ("chart/templates/db.yaml", "kind: Deployment\nspec:\n{{- if .Values.replicas }}\n{{- end }}\n"),
    ])
}

/// pre-commit names such files if no others are staged.
#[test]
fn named_files_need_not_have_a_document() {
    let folder = Folder::new(&[("comment.yaml", "# nothing\n---\n"), ("empty.yaml", "")]);
    let run = folder.run("validate comment.yaml empty.yaml --strict");
    assert_eq!((run.code, run.err.as_str()), (Some(0), "colocate: no findings in 0 objects of 2 files\n"));
    let run = folder.run("mutate --in-place --strict comment.yaml empty.yaml");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(folder.text("comment.yaml"), "# nothing\n---\n");
}

#[test]
fn paths_need_no_option_and_may_be_mixed() {
    let folder = Folder::mysql();
    let expected = folder.run("mutate -f class.yaml claim.yaml deployment.yaml").out;
    assert!(expected.contains("schedulerName: stork"));
    for arguments in [
        "mutate class.yaml claim.yaml deployment.yaml",
        "mutate -R -f class.yaml claim.yaml -- deployment.yaml",
        "mutate deployment.yaml -f class.yaml claim.yaml -o yaml",
        "mutate deployment.yaml -f class.yaml,claim.yaml",
    ] {
        let run = folder.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments}: {}", run.err);
        let lines = |text: &str| {
            text.lines().filter(|line| *line != "---").map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(lines(&run.out), lines(&expected), "{arguments}");
    }
    let run = folder.run_with("mutate - --manifests class.yaml claim.yaml", DEPLOYMENT);
    assert_eq!((run.code, run.out), (Some(0), mutated(DEPLOYMENT)));
    assert_eq!(folder.run("validate . -R").code, Some(0));
}

#[test]
fn urls_and_the_option_k_are_errors_with_a_command() {
    let folder = Folder::mysql();
    for (arguments, said) in [
        (
            "mutate https://x.test/a.yaml",
            "colocate: URLs are not supported: download it first: curl -fsSL https://x.test/a.yaml | colocate mutate -\n",
        ),
        (
            "mutate HTTPS://x.test/a?b=c&d",
            "colocate: URLs are not supported: download it first: curl -fsSL 'HTTPS://x.test/a?b=c&d' | colocate mutate -\n",
        ),
        (
            "validate a -f http://x.test",
            "colocate: URLs are not supported: download it first: curl -fsSL http://x.test | colocate validate -\n",
        ),
        (
            "validate -k overlays/dev",
            "colocate: -k is not supported: run kustomize first: kubectl kustomize overlays/dev | colocate validate -\n",
        ),
        (
            "mutate -k overlays/$USER",
            "colocate: -k is not supported: run kustomize first: kubectl kustomize 'overlays/$USER' | colocate mutate -\n",
        ),
        (
            "mutate HTTPS://x.test/a.yaml?b=1&c=2",
            "colocate: URLs are not supported: download it first: curl -fsSL 'HTTPS://x.test/a.yaml?b=1&c=2' | colocate mutate -\n",
        ),
        (
            "validate . --manifests . https://x.test/a.yaml",
            "colocate: URLs are not supported: download it first: curl -fsSL https://x.test/a.yaml | colocate validate ... --manifests -\n",
        ),
        (
            "validate s3://bucket/a.yaml",
            "colocate: URLs are not supported: download s3://bucket/a.yaml, and name the file, or pipe it to `colocate validate -`\n",
        ),
        (
            "mutate git::ssh://x.test/a",
            "colocate: URLs are not supported: download git::ssh://x.test/a, and name the file, or pipe it to `colocate mutate -`\n",
        ),
        ("validate . --kubeconfig x", "--cluster"),
        ("mutate . --exclude {a", "--exclude: "),
        ("mutate . --context x", "--cluster"),
    ] {
        let run = folder.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{arguments}");
        assert!(run.err.contains(said), "{}", run.err);
    }
}

/// A folder may have a colon at the end of its name.
#[test]
fn a_path_that_looks_like_a_url_is_read_if_it_exists() {
    let folder = Folder::new(&[("pods:/a.yaml", "kind: Pod\n")]);
    let run = folder.run("mutate pods://a.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(0), "kind: Pod\n"), "{}", run.err);
}

#[test]
fn an_empty_variable_for_the_configuration_counts_as_unset() {
    let folder = Folder::mysql();
    for (value, code) in [("", 4), ("absent.txt", 1)] {
        let mut command = program::command();
        command.args(["mutate", ".", "--check"]).env("COLOCATE_CONFIG", value).current_dir(folder.root());
        assert_eq!(command.output().unwrap().status.code(), Some(code), "{value}");
    }
}

#[test]
fn the_templates_of_a_chart_are_skipped_with_a_line() {
    let folder = with_chart();
    let line = "chart/templates: skipped: Helm templates must be rendered first: run `helm template ";
    let run = folder.run("mutate . --check");
    assert_eq!(run.code, Some(4));
    assert!(run.err.starts_with(&format!("./{line}./chart | colocate mutate -`, ")), "{}", run.err);
    assert_eq!(run.err.matches("skipped").count(), 1, "{}", run.err);
    assert_eq!(folder.run("mutate . --check --strict").code, Some(3));
    let absolute = folder.path("chart/templates").canonicalize().unwrap().display().to_string();
    for glob in ["chart/templates", "./chart/templates", "./deploy/../chart/templates", &*absolute] {
        let run = folder.run(&format!("mutate . --check --strict --exclude {glob}"));
        assert_eq!(run.code, Some(4), "{glob}: {}", run.err);
    }

    // A path outside of the working directory.
    let inner = |exclude: &str| {
        let mut command = program::command();
        command.args(["validate", "--strict", "../chart"]).args(exclude.split_whitespace());
        command.current_dir(folder.path("deploy")).output().unwrap().status.code()
    };
    assert_eq!(inner(""), Some(3));
    for glob in ["../chart/templates", &*absolute] {
        assert_eq!(inner(&format!("--exclude {glob}")), Some(0), "{glob}");
    }

    let run = folder.run("validate . --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""));
    assert!(run.err.contains(&format!("{line}./chart | colocate validate -`, ")), "{}", run.err);
    assert_eq!(folder.run("validate . --strict --exclude chart/templates").code, Some(0));
    let spaced = Folder::new(&[("my 'chart/Chart.yaml", ""), ("my 'chart/templates/a.yaml", "")]);
    let run = spaced.run("validate .");
    assert!(
        run.err.contains(r"helm template './my '\''chart' | ")
            && run.err.contains(r"--exclude './my '\''chart/templates'")
    );
    // pre-commit names files.
    let run = folder.run("validate chart/templates/db.yaml deploy/class.yaml");
    assert!(run.code == Some(0) && run.err.contains(&format!("{line}chart | colocate validate -`, ")), "{}", run.err);
    assert_eq!(folder.run("validate chart/templates/db.yaml").code, Some(0));
}

#[test]
fn excluded_files_are_left_out_even_if_they_are_named() {
    let folder = with_chart();
    std::fs::write(folder.path("deploy/broken.yaml"), "a: [\n").unwrap();
    assert_eq!(folder.run("validate deploy").code, Some(1));
    assert_eq!(folder.run("validate deploy --exclude broken.yaml").code, Some(0));
    assert_eq!(folder.run("validate deploy/broken.yaml --exclude broken.*").code, Some(0));
    std::fs::write(folder.path(".colocateignore"), "deploy/broken.yaml\nchart/templates/\n").unwrap();
    assert_eq!(folder.run("validate deploy/broken.yaml deploy").code, Some(0));
    assert_eq!(folder.run("validate . --strict").code, Some(0));
    std::fs::remove_file(folder.path(".colocateignore")).unwrap();
    // What git ignores is left out of directories only.
    std::fs::write(folder.path(".gitignore"), "broken.yaml\n").unwrap();
    assert_eq!(folder.run("validate .").code, Some(0));
    assert_eq!(folder.run("validate deploy/broken.yaml").code, Some(1));
}

#[test]
fn outside_of_a_repository_ignore_files_count_up_to_the_working_directory() {
    let folder = Folder::new(&[
        (".colocateignore", "a.yaml\n"),
        ("work/.colocateignore", "b.yaml\n"),
        ("work/deploy/.colocateignore", "c.yaml\n"),
        ("work/deploy/deep/a.yaml", "a: [\n"),
        ("work/deploy/deep/b.yaml", "b: [\n"),
        ("work/deploy/deep/c.yaml", "c: [\n"),
        ("work/deploy/deep/d.yaml", "d: 1\n"),
    ]);
    let failed = |directory: &str, path: &str| {
        let run = folder.run_in(directory, &format!("validate {path}"));
        let names = ["a", "b", "c"].into_iter().filter(|name| run.err.contains(&format!("deep/{name}.yaml:1:")));
        names.collect::<String>()
    };
    assert_eq!(failed("work", "deploy"), "a");
    assert_eq!(failed("work", "deploy/deep"), "a");
    assert_eq!(failed(".", "work"), "");
    // The named directory is not below the working directory, so only ignore files in it and below count.
    assert_eq!(failed("work/deploy/deep", "../../deploy"), "ab");
    std::fs::create_dir(folder.path(".git")).unwrap();
    assert_eq!(failed("work/deploy/deep", "../../deploy"), "");
}

#[test]
fn an_invalid_ignore_file_hides_no_other_file() {
    let folder = with_chart();
    std::fs::create_dir(folder.path("a")).unwrap();
    std::fs::write(folder.path("a/b.yaml"), "b: 1\n").unwrap();
    std::fs::write(folder.path("a/.colocateignore"), "# generated\n{x\n").unwrap();
    std::fs::write(folder.path("deploy/broken.yaml"), "a: [\n").unwrap();
    let run = folder.run("validate . --exclude chart");
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("a/.colocateignore:2:1: invalid pattern: "), "{}", run.err);
    assert!(run.err.contains("./deploy/broken.yaml:1:4: ") && run.err.ends_with("2 failures\n"), "{}", run.err);
    let run = folder.run("mutate . --exclude chart --exclude broken.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(
        run.err.ends_with(
            "\ncolocate: 1 error, so nothing was printed: correct the files, or leave them out with --exclude\n"
        ),
        "{}",
        run.err
    );
}

#[test]
fn a_cluster_is_chosen_by_its_kubeconfig_and_context() {
    let folder = Folder::mysql();
    let server = ApiServer::new(&[], 404);
    assert_eq!(server.run(&folder, "mutate deployment.yaml").code, Some(0));
    let asked = server.asked();
    assert!(!asked.is_empty());
    std::fs::rename(folder.path("kubeconfig"), folder.path("other.config")).unwrap();
    let run = folder.run("mutate deployment.yaml --cluster");
    assert_eq!(run.code, Some(1), "{}", run.err);
    let run = folder.run("mutate deployment.yaml --cluster --kubeconfig other.config");
    assert_eq!((run.code, server.asked()), (Some(0), asked), "{}", run.err);
    let run = folder.run("mutate deployment.yaml --cluster --kubeconfig other.config --context absent");
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("--context cannot be used: ") && run.err.contains("absent"), "{}", run.err);
}
