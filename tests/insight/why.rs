//! `colocate why`: each verdict is produced for real, with the chart's colocate, and explained correctly.

mod absence;
mod answer;
mod contender;
mod exclusion;
mod opt_out;
mod permissions;
mod pod;
mod scene;
mod workload;

use std::process::Command;

use colocate_harness::{Account, ControlPlane, Namespace};

use scene::Scene;

#[test]
fn each_verdict_is_explained_from_the_live_cluster() {
    // The last step needs a cluster without any configuration of colocate.
    let control_plane = ControlPlane::own(&[]);
    let scene = Scene::new(&control_plane);
    scene.explains_a_pod_from_before_colocate();
    scene.explains_a_pod_that_is_as_expected();
    scene.explains_claims_that_came_later_or_never();
    scene.explains_opt_outs();
    scene.explains_a_template_that_was_injected_earlier();
    scene.explains_a_pod_by_an_earlier_template();
    scene.explains_a_pod_that_is_not_sent();
    scene.explains_a_pod_that_another_webhook_changed();
    scene.explains_a_custom_workload_and_what_its_operator_changed();
    scene.explains_a_pod_that_was_missed();
    scene.explains_what_a_pending_pod_waits_for();
    // Without a change of the configuration since then.
    scene.explains_pods_that_a_part_of_the_configuration_excluded();
    scene.explains_a_pod_that_was_created_while_colocate_was_away();
    scene.the_reader_of_the_chart_sees_everything();
    scene.never_gives_a_wrong_verdict_without_a_permission();
    scene.explains_an_absence_by_the_endpoints_of_the_service();
    scene.explains_a_pod_from_before_a_new_configuration();
    scene.explains_a_pod_that_has_ended();
    drop(scene);
    control_plane.end();
}

#[test]
fn an_object_that_cannot_be_explained_is_an_error_that_says_what_to_do() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("why-errors");
    let account = Account::new(control_plane, namespace.name(), "nobody", &[]);
    let admin = control_plane.kubeconfig();
    let absent = "colocate: Pod why-errors/absent does not exist: check the name and the namespace (-n)\n";
    let forbidden = "colocate: Deployment why-errors/a cannot be read (grant the verb `get` on `deployments.apps`)\n";
    for (kubeconfig, arguments, code, message) in [
        (admin, &["pod/absent"][..], 1, absent),
        (account.kubeconfig(), &["deploy/a"], 1, forbidden),
        (admin, &["deploy/a", "--dry-run"], 2, "--dry-run needs a pod"),
        (admin, &["node/a"], 2, "`node` is not a kind that can be explained"),
        (admin, &["mysql-0"], 2, "use KIND/NAME or KIND NAME, such as pod/mysql-0"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_colocate"))
            .arg("why")
            .args(arguments)
            .args(["-n", namespace.name()])
            .env("KUBECONFIG", kubeconfig)
            .output()
            .expect("the colocate binary is built");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(code), true), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}
