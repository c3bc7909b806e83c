//! The `VolumePlacementStrategies` of a cluster. They are listed on demand and not watched, because there are few, they
//! rarely change, and few objects name one.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout_at;

use super::cache::ClaimCache;
use super::deadlines::Deadlines;
use crate::api::{ApiClient, ApiError, Resource};
use crate::companion::Strategies;
use crate::engine::storage::{HasMetadata as _, Named};

const STRATEGIES: Resource = Resource::new("portworx.io", "volumeplacementstrategies");
const PATH: &str = "/apis/portworx.io/v1beta2/volumeplacementstrategies";

/// The longest time that a list may take.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct StrategyList<'a> {
    #[serde(borrow)]
    items: Vec<Named<'a>>,
}

/// Lists all of them.
pub(super) async fn list(client: &ApiClient) -> Result<Strategies, ApiError> {
    let mut json = Vec::new();
    match client.list(STRATEGIES, PATH, TIMEOUT, &mut json).await {
        Ok(()) => {
            let list: StrategyList<'_> = STRATEGIES.decode("list", &json)?;
            let names = list.items.iter().filter_map(|item| item.name().map(str::to_owned));
            Ok(Strategies::All(names.collect()))
        }
        // An empty list is HTTP 200. A 404 means that the CRD is not installed.
        Err(error) if error.code() == Some(404) => Ok(Strategies::NotInstalled),
        Err(error) => Err(error),
    }
}

impl ClaimCache {
    /// Returns the strategies, as far as they can be read in time. The cause of a failure is logged, not returned in a
    /// warning, because the user who creates the class or claim cannot fix it.
    pub(super) async fn placement_strategies(&self, deadlines: Deadlines) -> Strategies {
        let why = match timeout_at(deadlines.answer, list(&self.client)).await {
            Ok(Ok(strategies)) => return strategies,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server did not list them in time".to_owned(),
        };
        // Logged once per TTL, not once per object.
        if self.logged.insert((String::new(), STRATEGIES.name.to_owned())) {
            tracing::warn!(why, "cannot list the VolumePlacementStrategies");
        }
        Strategies::Some { known: BTreeSet::new(), why: "colocate cannot list them: see its log".to_owned() }
    }
}
