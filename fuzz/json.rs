//! A structure-aware JSON mutator. Mutated bytes are rarely valid JSON, so the parser would reject most of them.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value};

/// Values to insert, or to replace others with.
const VALUES: [&str; 12] = [
    "null",
    "true",
    "0",
    "\"\"",
    "{}",
    "[]",
    "[{}]",
    "\"default-scheduler\"",
    "\"stork\"",
    "\"true\"",
    "{\"claimName\":\"a\"}",
    "{\"driver\":\"pxd.portworx.com\"}",
];

/// Changes one value of a JSON document and returns the new length. Sometimes, and for invalid JSON, changes bytes instead.
pub(crate) fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, keys: &[&str]) -> usize {
    let mut dice = Dice(seed | 1);
    if dice.roll(4) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(&data[..size]) else {
        return fuzzer_mutate(data, size, max_size);
    };
    let count = count_of(&document);
    let other = nth(&mut document, dice.roll(count)).clone();
    change(nth(&mut document, dice.roll(count)), other, keys, &mut dice);
    let text = document.to_string();
    if text.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

fn change(value: &mut Value, other: Value, keys: &[&str], dice: &mut Dice) {
    match value {
        Value::Object(map) if dice.roll(3) > 0 => entry(map, other, keys, dice),
        Value::Array(items) if dice.roll(3) > 0 => {
            let at = dice.roll(items.len() + 1);
            match items.get(at).cloned() {
                Some(_) if dice.roll(2) == 0 => drop(items.remove(at)),
                Some(item) => items.insert(at, item),
                None => items.push(other),
            }
        }
        Value::String(text) if dice.roll(3) == 0 => {
            let mut bytes = text.clone().into_bytes();
            bytes.resize(bytes.len() + 16, 0);
            let length = fuzzer_mutate(&mut bytes, text.len(), text.len() + 16);
            *text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        }
        value if dice.roll(2) == 0 => *value = other,
        value => *value = serde_json::from_str(VALUES[dice.roll(VALUES.len())]).unwrap_or_default(),
    }
}

/// Removes, renames or adds an entry.
fn entry(map: &mut Map<String, Value>, other: Value, keys: &[&str], dice: &mut Dice) {
    let key = keys[dice.roll(keys.len())].to_owned();
    let old = map.keys().nth(dice.roll(map.len().max(1))).cloned();
    match (dice.roll(4), old) {
        (0, Some(old)) => drop(map.remove(&old)),
        (1, Some(old)) => {
            let value = map.remove(&old).unwrap_or_default();
            map.insert(key, value);
        }
        (2, _) => drop(map.insert(key, other)),
        _ => drop(map.insert(key, serde_json::from_str(VALUES[dice.roll(VALUES.len())]).unwrap_or_default())),
    }
}

/// Counts the values of a document, including itself.
fn count_of(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(count_of).sum(),
        Value::Array(items) => items.iter().map(count_of).sum::<usize>(),
        _ => 0,
    }
}

/// Returns the `n`th value of a document in depth-first order.
fn nth(value: &mut Value, n: usize) -> &mut Value {
    if n == 0 {
        return value;
    }
    let mut left = n - 1;
    let children: Vec<_> = match value {
        Value::Object(map) => map.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        let count = count_of(child);
        if left < count {
            return nth(child, left);
        }
        left -= count;
    }
    unreachable!("`n` is below the count of values")
}

/// A random number generator (xorshift).
struct Dice(u32);

impl Dice {
    /// Returns a number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % sides
    }
}
