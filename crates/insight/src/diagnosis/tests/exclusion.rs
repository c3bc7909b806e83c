//! Pods that the configuration excludes now, and releases that API servers call, too.

use super::*;

#[test]
fn a_pod_that_the_configuration_excludes_was_not_sent() {
    let excluded = || Scene::new().registration(|found| found.called = Answer::No("no rule".to_owned()));
    assert_verdict(&excluded(), "not-sent", "zz-colocate: no rule");
    let changed = |time: &str| {
        let change = Change { what: "zz-colocate".to_owned(), time: self::time(time) };
        excluded().registration(|found| found.changes = vec![change])
    };
    assert_verdict(&changed("2026-11-30T02:14:06Z"), "not-sent", "zz-colocate: no rule");
    // One part that certainly excluded the pod is enough, and each webhook needs one.
    let grounds = |grounds: Vec<Vec<Ground>>| excluded().registration(|found| found.grounds = grounds);
    let at = |time: &str| Ground::Changed(Change { what: "label".to_owned(), time: self::time(time) });
    let removed = || Ground::Untraced("it may have been removed".to_owned());
    assert_verdict(&grounds(vec![vec![removed(), Ground::Fixed]]), "not-sent", "zz-colocate: no rule");
    assert_verdict(&grounds(vec![vec![at("2026-11-30T02:14:06Z"), removed()]]), "not-sent", "");
    assert_verdict(&grounds(vec![vec![removed()]]), "missed", "since then; it may have been removed");
    assert_verdict(&grounds(vec![vec![at(CREATED)]]), "missed", "since then; label changed at 2026-11-30T02:14:07Z");
    assert_verdict(&grounds(vec![vec![Ground::Fixed], vec![removed()]]), "missed", "it may have been removed");
    // It may have been called at that time.
    let evidence = "it would not be sent now (zz-colocate: no rule), which may have changed since then; zz-colocate changed at 2026-11-30T02:14:07Z";
    assert_verdict(&changed(CREATED), "missed", evidence);
}

#[test]
fn a_second_release_makes_the_cause_uncertain() {
    let second = |registration: &mut Registration| registration.also_called = vec!["zz-second".to_owned()];
    let away = Endpoints {
        service: "colocate/colocate".to_owned(),
        ready: false,
        serving: false,
        since: time("2026-11-30T02:11:00Z"),
    };
    let away = Scene { endpoints: Some(away), ..Scene::new() };
    let evidence = "another release of colocate is called for it now, or may be: zz-second";
    assert_verdict(&away, "colocate-away", "");
    assert_verdict(&away.registration(second), "missed", evidence);
    let excluded = || Scene::new().registration(|found| found.called = Answer::No("no rule".to_owned()));
    assert_verdict(&excluded(), "not-sent", "");
    assert_verdict(&excluded().registration(second), "missed", evidence);
}
