//! The watch loop, against a scripted API server.

use kube::client::Body;
use serde_json::json;
use tower_test::mock;

use super::*;

const PODS: Resource = Resource::new("", "pods");

/// A watch that discards all pods.
struct Pods;

impl Watch for Pods {
    fn resource(&self) -> Resource {
        PODS
    }

    fn query(&self) -> String {
        "/api/v1/pods?".to_owned()
    }

    fn name(&self) -> String {
        "pods".to_owned()
    }

    async fn read(&mut self, client: &ApiClient) -> Result<String, ApiError> {
        client.list(PODS, "/api/v1/pods", OPEN_TIMEOUT, &mut Vec::new()).await?;
        Ok("1".to_owned())
    }

    async fn apply(&mut self, _: &WatchEvent<'_>) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Counts the requests of 30 s to an API server that answers each read with `read`, and each watch with this status and body.
pub(crate) async fn requests_in_30_s<W: Watch>(
    watch: impl FnOnce(&ApiClient) -> W,
    read: &str,
    (status, body): (u16, &str),
) -> usize {
    let (service, mut handle) = mock::pair::<hyper::Request<Body>, hyper::Response<Body>>();
    let server = async {
        let mut count = 0;
        while let Some((request, send)) = handle.next_request().await {
            count += 1;
            assert!(count < 1_000, "a tight loop");
            let (status, body) = if request.uri().query().is_some() { (status, body) } else { (200, read) };
            let body = Body::from(body.as_bytes().to_vec());
            send.send_response(hyper::Response::builder().status(status).body(body).unwrap());
        }
        count
    };
    let client = ApiClient::for_test(kube::Client::new(service, "default"));
    let watch = watch(&client);
    let following = async { drop(timeout(Duration::from_secs(30), follow(client, watch)).await) };
    tokio::join!(server, following).0
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_backs_off_for_every_cause() {
    let status = |code: u16| json!({"kind": "Status", "code": code, "message": "no"}).to_string();
    let event = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}).to_string();
    let bookmark = json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "2"}}}).to_string();
    for (code, body) in
        [(200, ""), (200, &*event), (200, &bookmark), (200, "{"), (410, &status(410)), (504, &status(504))]
    {
        let requests = requests_in_30_s(|_| Pods, "{}", (code, body)).await;
        // Pauses of 0.8 s, doubled each time, plus a random part of the same length.
        assert!((4..=14).contains(&requests), "{code} {body}: {requests} requests");
    }
}
