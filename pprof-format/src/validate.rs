//! What must hold in a decoded profile.

use std::collections::HashSet;

use crate::error::Error;
use crate::model::Profile;

impl Profile {
    /// Checks every reference and count: the rules by which `go tool pprof` accepts a profile.
    ///
    /// # Errors
    /// The first offence, and the entry that commits it.
    pub fn validate(&self) -> Result<(), Error> {
        if let Some(first) = self.string_table.first()
            && !first.is_empty()
        {
            let start: String = first.chars().take(40).collect();
            return Err(Error::invalid(format!("string 0 is {start:?}, but must be empty")));
        }
        self.validate_strings()?;
        let mappings = unique("mapping", self.mapping.iter().map(|m| m.id))?;
        let functions = unique("function", self.function.iter().map(|f| f.id))?;
        let locations = unique("location", self.location.iter().map(|l| l.id))?;
        for location in &self.location {
            let of = || format!("location {}", location.id);
            refers(of, "mapping", location.mapping_id, &mappings)?;
            for line in &location.line {
                refers(of, "function", line.function_id, &functions)?;
            }
        }
        let types = self.sample_type.len();
        if types == 0 && !self.sample.is_empty() {
            return Err(Error::invalid("there are samples, but no sample types"));
        }
        for (index, sample) in self.sample.iter().enumerate() {
            let values = sample.value.len();
            if values != types {
                return Err(Error::invalid(format!(
                    "sample {index} has {values} values, but there are {types} sample types"
                )));
            }
            if let Some(id) = sample.location_id.iter().find(|id| !locations.contains(id)) {
                return Err(Error::invalid(format!(
                    "sample {index} refers to location {id}, which does not exist"
                )));
            }
        }
        Ok(())
    }

    /// [`validate`](Profile::validate), and the rules of stricter readers such as Parca: ids count from 1 in table
    /// order, there is a string table, and every label has a key. What [`Builder`](crate::Builder) makes passes.
    ///
    /// # Errors
    /// The first offence, and the entry that commits it.
    pub fn validate_strict(&self) -> Result<(), Error> {
        self.validate()?;
        if self.string_table.is_empty() {
            return Err(Error::invalid("there is no string table"));
        }
        sequential("mapping", self.mapping.iter().map(|m| m.id))?;
        sequential("function", self.function.iter().map(|f| f.id))?;
        sequential("location", self.location.iter().map(|l| l.id))?;
        for (index, sample) in self.sample.iter().enumerate() {
            if sample.label.iter().any(|l| l.key == 0) {
                return Err(Error::invalid(format!("sample {index} has a label without a key")));
            }
        }
        Ok(())
    }

    fn validate_strings(&self) -> Result<(), Error> {
        // Without a table, index 0 is the empty string all the same.
        let limit = self.string_table.len().max(1);
        let check = |what: &str, entry: usize, indices: &[i64]| match indices
            .iter()
            .find(|i| usize::try_from(**i).map_or(true, |i| i >= limit))
        {
            None => Ok(()),
            Some(index) => Err(Error::invalid(format!(
                "{what} {entry} refers to string {index}, but there are {limit}"
            ))),
        };
        for (i, t) in self.sample_type.iter().chain(&self.period_type).enumerate() {
            check("sample or period type", i, &[t.ty, t.unit])?;
        }
        for (i, m) in self.mapping.iter().enumerate() {
            check("mapping", i, &[m.filename, m.build_id])?;
        }
        for (i, f) in self.function.iter().enumerate() {
            check("function", i, &[f.name, f.system_name, f.filename])?;
        }
        for (i, sample) in self.sample.iter().enumerate() {
            for l in &sample.label {
                check("a label of sample", i, &[l.key, l.str, l.num_unit])?;
            }
        }
        check("comment", 0, &self.comment)?;
        let rest = [self.drop_frames, self.keep_frames, self.default_sample_type, self.doc_url];
        check("the profile itself, entry", 0, &rest)
    }
}

fn unique(what: &str, ids: impl Iterator<Item = u64>) -> Result<HashSet<u64>, Error> {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        if id == 0 {
            return Err(Error::invalid(format!("{what} {index} has the reserved id 0")));
        }
        if !seen.insert(id) {
            return Err(Error::invalid(format!("two {what}s have the id {id}")));
        }
    }
    Ok(seen)
}

fn refers(of: impl Fn() -> String, what: &str, id: u64, known: &HashSet<u64>) -> Result<(), Error> {
    if id == 0 || known.contains(&id) {
        return Ok(());
    }
    Err(Error::invalid(format!("{} refers to {what} {id}, which does not exist", of())))
}

fn sequential(what: &str, ids: impl Iterator<Item = u64>) -> Result<(), Error> {
    for (index, id) in (1..).zip(ids) {
        if id != index {
            return Err(Error::invalid(format!("the {what} at place {index} has the id {id}")));
        }
    }
    Ok(())
}
