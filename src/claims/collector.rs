//! Metrics of the cache, computed when they are scraped: how many objects it has, and how fresh they are.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::freshness::LastHeard;
use super::watched::{Claims, Classes, WatchedKind};
use crate::engine::Inventory;

/// Counts the objects of the inventory, and computes how long ago the watches heard from the API server.
#[derive(Debug)]
pub(super) struct CacheCollector {
    inventory: Arc<RwLock<Inventory>>,
    last_heard: Vec<Arc<LastHeard>>,
}

impl CacheCollector {
    pub(super) fn new(inventory: Arc<RwLock<Inventory>>, last_heard: Vec<Arc<LastHeard>>) -> Self {
        Self { inventory, last_heard }
    }

    /// Returns the seconds since the last sign of life of the watch that has waited longest.
    fn staleness(&self, resource: &str) -> f64 {
        let heard = self.last_heard.iter().filter(|heard| heard.resource == resource);
        heard.map(|heard| heard.ago()).max().unwrap_or_default().as_secs_f64()
    }
}

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = {
            let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
            [(Claims::RESOURCE.name, Claims::count(&inventory)), (Classes::RESOURCE.name, Classes::count(&inventory))]
        };
        let help = "Objects that are known, by resource";
        let mut family = encoder.encode_descriptor("cached_objects", help, None, MetricType::Gauge)?;
        for (resource, count) in counts {
            let count = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            count.encode(family.encode_family(&[("resource", resource)])?)?;
        }
        let help = "Time since a watch last heard from the API server, which sends something every minute, by resource";
        let mut family = encoder.encode_descriptor("watch_staleness", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (resource, _) in counts {
            let staleness = ConstGauge::new(self.staleness(resource));
            staleness.encode(family.encode_family(&[("resource", resource)])?)?;
        }
        Ok(())
    }
}
