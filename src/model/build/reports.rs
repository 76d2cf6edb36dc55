//! What is said of each object.

use std::sync::Arc;

use super::references::Lookup;
use super::routes::Routes;
use super::{Build, Candidate, Kept};
use crate::model::key::{Kind, ObjectKey};
use crate::model::object::Object;
use crate::model::report::{Report, Verdict};
use crate::model::sorted::Sorted;

/// Says of each object what has become of it.
pub(super) struct Reporter<'a> {
    /// Where things are looked up.
    pub(super) lookup: Lookup<'a>,
    /// All routes.
    pub(super) routes: &'a Routes,
    /// Lends reports that came out equal.
    pub(super) previous: &'a Build,
    /// What the previous build kept, where its reports on routes stand as long as nothing touches
    /// them.
    pub(super) base: Option<&'a Kept>,
}

impl Reporter<'_> {
    /// All reports: `touched` are routes of which there may be something else to say, `gone` are
    /// those that aren't there any more, and `others` all other objects, where there may be.
    pub(super) fn reports(
        &self,
        touched: Vec<Candidate<'_>>,
        gone: &[&ObjectKey],
        others: Option<Vec<Candidate<'_>>>,
    ) -> Sorted<Arc<Report>> {
        let mut reports = self.base.map(|_| self.previous.reports.clone()).unwrap_or_default();
        for key in gone {
            reports.remove(key);
        }
        for Candidate { object, verdict } in touched {
            reports.insert(self.report(object, verdict));
        }
        if let Some(base) = self.base
            && !Arc::ptr_eq(&self.lookup.snapshot.services, &base.snapshot.services)
        {
            let news = self.other_references(&reports);
            reports.extend(news);
        }
        let Some(others) = others else { return reports };
        let old: Vec<_> =
            reports.from(is_on_route).map(|old| Arc::clone(&old.object.key)).collect();
        for key in old.iter().filter(|key| super::changes::find(&others, key).is_none()) {
            reports.remove(key);
        }
        reports.extend(others.into_iter().map(|other| self.report(other.object, other.verdict)));
        reports
    }

    fn report(&self, object: &Arc<Object>, verdict: Verdict) -> Arc<Report> {
        let route = self.routes.by_key.get(&object.key);
        let references = self.lookup.references(object, &verdict, route.map(|route| &**route));
        let failure = self.lookup.failure(object);
        let warning = self.lookup.warning(object, &verdict);
        let new = Report { object: Arc::clone(object), verdict, references, failure, warning };
        let old = self.previous.reports.get(&object.key);
        match old.filter(|old| Arc::ptr_eq(&old.object, object) && ***old == new) {
            Some(old) => Arc::clone(old),
            None => Arc::new(new),
        }
    }

    /// The reports on routes whose Services are other ones now.
    fn other_references(&self, reports: &Sorted<Arc<Report>>) -> Vec<Arc<Report>> {
        let mut routes = self.routes.by_key.iter().peekable();
        let judge = |report: &Arc<Report>| {
            // There is a report on each route, in the same order.
            let route = routes.next_if(|route| Arc::ptr_eq(&route.object, &report.object));
            let route = route.map(|route| &**route);
            let references = self.lookup.references(&report.object, &report.verdict, route);
            let is_new = references != report.references;
            is_new.then(|| Arc::new(Report { references, ..Report::clone(report) }))
        };
        reports.iter().take_while(|report| is_on_route(report)).filter_map(judge).collect()
    }
}

fn is_on_route(report: &Arc<Report>) -> bool {
    report.object.key.kind == Kind::Mapping
}
