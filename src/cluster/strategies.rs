//! Which `VolumePlacementStrategies` there are. They are few, change seldom, and are asked about by few objects: so they are
//! listed when one is named, and not watched.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use serde::Deserialize;
use tokio::time::timeout;

use super::Cluster;
use super::request::{self, Unanswered};
use crate::companion::Strategies;
use crate::engine::storage::{Named, Object as _};

const RESOURCE: &str = "volumeplacementstrategies";
const GROUP: &str = "portworx.io";
const PATH: &str = "/apis/portworx.io/v1beta2/volumeplacementstrategies";

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    items: Vec<Named<'a>>,
}

/// Asks for all of them.
pub(super) async fn list(client: &Client) -> Result<Strategies, Unanswered> {
    let unanswered = |cause: request::Cause| Unanswered::new("list", RESOURCE, GROUP, cause);
    match request::get(client, PATH).await.map_err(unanswered) {
        Ok(json) => {
            let list: List<'_> = serde_json::from_str(&json).map_err(|error| unanswered(error.into()))?;
            let names = list.items.iter().filter_map(|item| item.name().map(str::to_owned));
            Ok(Strategies::All(names.collect()))
        }
        // A list is there even if nothing is in it: what is not there is the kind.
        Err(failure) if failure.code() == Some(404) => Ok(Strategies::NotInstalled),
        Err(failure) => Err(failure),
    }
}

impl Cluster {
    /// Those that there are, as far as is known within `patience`. Why they are not known is for the log: who makes a class
    /// or a claim can do nothing about it.
    pub(crate) async fn placement_strategies(&self, patience: Duration) -> Strategies {
        let why = match timeout(patience, list(&self.client)).await {
            Ok(Ok(strategies)) => return strategies,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => format!("the API server did not list them within {} ms", patience.as_millis()),
        };
        // Once in a while, and not for each object.
        if self.told.add((String::new(), RESOURCE.to_owned()), ()) {
            tracing::warn!(why, "which VolumePlacementStrategies there are is not known");
        }
        Strategies::Some { known: BTreeSet::new(), why: "colocate cannot list them; its log says why".to_owned() }
    }
}
