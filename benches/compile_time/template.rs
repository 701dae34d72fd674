//! Eight functions of a size and kind as programs have: what `compile_time` compiles many times over.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::num::ParseIntError;

const SEED: u64 = 0;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub names: BTreeMap<String, String>,
    pub limits: HashMap<String, u64>,
    pub flags: Vec<String>,
}

#[derive(Debug)]
pub enum Mistake {
    Number(usize, ParseIntError),
    Word(usize, String),
}

// attribute
pub fn parse(text: &str) -> Result<Settings, Mistake> {
    let mut settings = Settings::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            settings.flags.push(line.to_owned());
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        match key.split_once('.') {
            Some(("limit", name)) => {
                let limit: u64 = value.parse().map_err(|e| Mistake::Number(number, e))?;
                settings.limits.insert(name.to_owned(), limit.saturating_add(SEED));
            }
            Some(("name", name)) => {
                settings.names.insert(name.to_owned(), value.to_owned());
            }
            Some((other, _)) => return Err(Mistake::Word(number, other.to_owned())),
            None if key.chars().all(char::is_alphanumeric) => {
                settings.names.insert(key.to_owned(), value.to_owned());
            }
            None => return Err(Mistake::Word(number, key.to_owned())),
        }
    }
    Ok(settings)
}

// attribute
pub fn report(settings: &Settings, width: usize) -> String {
    let mut text = String::with_capacity(settings.names.len() * width);
    let longest = settings.names.keys().map(|name| name.len()).max().unwrap_or(0).min(width);
    for (name, value) in &settings.names {
        let padding = longest.saturating_sub(name.len());
        let _ = writeln!(text, "{name}{:padding$} = {value}", "");
    }
    let mut limits: Vec<_> = settings.limits.iter().collect();
    limits.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    for (index, (name, limit)) in limits.into_iter().enumerate() {
        if index % 2 == 0 {
            text.push_str("  ");
        }
        match limit {
            0 => text.push_str("none"),
            1..=999 => {
                let _ = write!(text, "{limit}");
            }
            _ => {
                let _ = write!(text, "{:.1}k", *limit as f64 / 1000.0);
            }
        }
        let _ = writeln!(text, " {name}");
    }
    text
}

// attribute
pub fn merge_sort<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    if items.len() < 2 {
        return items.to_vec();
    }
    let (left, right) = items.split_at(items.len() / 2);
    let (left, right) = (merge_sort(left), merge_sort(right));
    let mut merged = Vec::with_capacity(items.len());
    let (mut a, mut b) = (left.iter().peekable(), right.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => {
                if x <= y {
                    merged.push((*x).clone());
                    a.next();
                } else {
                    merged.push((*y).clone());
                    b.next();
                }
            }
            (Some(_), None) => {
                merged.extend(a.cloned());
                return merged;
            }
            (None, _) => {
                merged.extend(b.cloned());
                return merged;
            }
        }
    }
}

// attribute
pub fn group_by<K: Ord, V, I>(items: I, key: impl Fn(&V) -> K, most: usize) -> Vec<(K, Vec<V>)>
where
    I: IntoIterator<Item = V>,
{
    let mut groups: BTreeMap<K, Vec<V>> = BTreeMap::new();
    let mut left_out = 0;
    for item in items {
        let group = groups.entry(key(&item)).or_default();
        if group.len() < most {
            group.push(item);
        } else {
            left_out += 1;
        }
    }
    let mut sorted: Vec<(K, Vec<V>)> = groups.into_iter().collect();
    sorted.sort_by_key(|(_, group)| std::cmp::Reverse(group.len()));
    if left_out > 0 {
        sorted.retain(|(_, group)| !group.is_empty());
        for (_, group) in &mut sorted {
            group.shrink_to_fit();
        }
    }
    sorted
}

#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<String, (u64, Vec<u8>)>,
    order: VecDeque<String>,
    bytes: usize,
    hits: u64,
    misses: u64,
}

impl Cache {
    // attribute
    pub fn insert(&mut self, key: &str, value: Vec<u8>, room: usize) -> Option<Vec<u8>> {
        if value.len() > room {
            self.misses += 1;
            return Some(value);
        }
        while self.bytes + value.len() > room {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some((_, dropped)) = self.entries.remove(&oldest) {
                self.bytes -= dropped.len();
            }
        }
        self.bytes += value.len();
        let stamp = self.hits ^ self.misses ^ SEED;
        let former = self.entries.insert(key.to_owned(), (stamp, value));
        if let Some((_, former)) = &former {
            self.bytes -= former.len();
            self.order.retain(|other| other != key);
        }
        self.order.push_back(key.to_owned());
        former.map(|(_, value)| value)
    }

    // attribute
    pub fn find(&mut self, key: &str, at_least: u64) -> Option<&[u8]> {
        let position = self.order.iter().position(|other| other == key);
        let Some(position) = position else {
            self.misses += 1;
            return None;
        };
        let (stamp, value) = self.entries.get(key)?;
        if *stamp < at_least {
            self.misses += 1;
            return None;
        }
        self.hits += 1;
        if position + 1 < self.order.len() {
            let key = self.order.remove(position)?;
            self.order.push_back(key);
        }
        let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&value[..end])
    }
}

// attribute
pub async fn summarise(cache: &mut Cache, keys: &[String]) -> Result<BTreeMap<usize, u64>, String> {
    let mut sums = BTreeMap::new();
    let mut missing = Vec::new();
    for key in keys {
        let value = match cache.find(key, 0) {
            Some(value) => value.to_vec(),
            None => {
                missing.push(key.as_str());
                fetch(key, 3).await?
            }
        };
        let sum: u64 = value.iter().map(|byte| u64::from(*byte)).sum();
        *sums.entry(value.len()).or_insert(SEED) += sum;
        cache.insert(key, value, 1 << 20);
    }
    if missing.len() > keys.len() / 2 {
        return Err(format!(
            "{} of {} are missing: {}",
            missing.len(),
            keys.len(),
            missing.join(", ")
        ));
    }
    std::future::ready(()).await;
    Ok(sums)
}

// attribute
pub async fn fetch(key: &str, tries: usize) -> Result<Vec<u8>, String> {
    let mut state = SEED | 1;
    for attempt in 0..tries {
        for byte in key.bytes() {
            state ^= u64::from(byte);
            state = state.wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        }
        std::future::ready(attempt).await;
        let is_there = state % 3 != 0;
        if is_there {
            let bytes = state.to_le_bytes();
            let value = bytes.iter().cycle().take(key.len() * 2).copied().collect::<Vec<u8>>();
            if value.is_empty() {
                return Err("the key is empty".to_owned());
            }
            return Ok(value);
        }
    }
    Err(format!("{key:?} was not there in {tries} tries"))
}

/// Uses all, so that what is generic or async is compiled too.
pub fn run(text: &str) -> Result<usize, Mistake> {
    let settings = parse(text)?;
    let lines: Vec<String> = report(&settings, 20).lines().map(str::to_owned).collect();
    let sorted = merge_sort(&lines);
    let groups = group_by(sorted, |line| line.len(), 10);
    let mut cache = Cache::default();
    cache.insert(text, text.as_bytes().to_vec(), 1000);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let future = std::pin::pin!(summarise(&mut cache, &lines));
    match future.poll(&mut context) {
        std::task::Poll::Ready(Ok(sums)) => Ok(groups.len() + sums.len()),
        _ => Ok(groups.len()),
    }
}
