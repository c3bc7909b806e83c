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
use crate::engine::one_line;
use crate::storage::{Named, Object as _};

const RESOURCE: &str = "volumeplacementstrategies";
const GROUP: &str = "portworx.io";
const PATH: &str = "/apis/portworx.io/v1beta2/volumeplacementstrategies";

/// As much of a reason as a warning has room for.
const ENOUGH: usize = 160;

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
    /// Those that there are, as far as is known within `patience`.
    pub(crate) async fn placement_strategies(&self, patience: Duration) -> Strategies {
        let why = match timeout(patience, list(&self.client)).await {
            Ok(Ok(strategies)) => return strategies,
            Ok(Err(failure)) => one_line(&failure.to_string(), ENOUGH),
            Err(_) => format!("the API server did not answer within {} ms", patience.as_millis()),
        };
        Strategies::Some { known: BTreeSet::new(), why }
    }
}
