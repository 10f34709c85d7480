//! What the plan calls the executions.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::types::{ExecutionId, ExecutionName};

/// The names of executions, by id. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(Arc<BTreeMap<String, ExecutionName>>);

impl Names {
    /// The name of an execution; one that the plan does not name is called by its id.
    pub fn of(&self, id: &ExecutionId) -> ExecutionName {
        self.of_text(id.as_str())
    }

    /// As [`of`](Self::of), for a text that may be an execution's id.
    pub fn of_text(&self, id: &str) -> ExecutionName {
        self.0.get(id).cloned().unwrap_or_else(|| ExecutionName::of_id(id))
    }

    /// The id of a named execution.
    pub fn id(&self, name: &ExecutionName) -> Option<ExecutionId> {
        let (id, _) = self.0.iter().find(|(_, known)| *known == name)?;
        ExecutionId::parse(id).ok()
    }

    /// All of them: id and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ExecutionName)> {
        self.0.iter().map(|(id, name)| (id.as_str(), name))
    }
}

impl FromIterator<(ExecutionId, ExecutionName)> for Names {
    fn from_iter<I: IntoIterator<Item = (ExecutionId, ExecutionName)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().map(|(id, name)| (id.as_str().to_owned(), name)).collect()))
    }
}
