//! What is known and how fresh it is, for Prometheus, counted when it is asked for.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::freshness::Heard;
use super::kind::{Claims, Classes, Kind};
use crate::engine::Inventory;

/// Counts what is in the inventory, and asks the watches how long ago they heard from the API server.
#[derive(Debug)]
pub(super) struct Report {
    inventory: Arc<RwLock<Inventory>>,
    heard: Vec<Arc<Heard>>,
}

impl Report {
    pub(super) fn new(inventory: Arc<RwLock<Inventory>>, heard: Vec<Arc<Heard>>) -> Self {
        Self { inventory, heard }
    }

    /// The number of seconds since the watch that is worst off heard something.
    fn staleness(&self, resource: &str) -> f64 {
        let heard = self.heard.iter().filter(|heard| heard.resource == resource);
        heard.map(|heard| heard.ago()).max().unwrap_or_default().as_secs_f64()
    }
}

impl Collector for Report {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = {
            let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
            [(Claims::RESOURCE, Claims::count(&inventory)), (Classes::RESOURCE, Classes::count(&inventory))]
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
