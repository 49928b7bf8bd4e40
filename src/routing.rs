//! The routes of a server with several applications, read from what Python hands over.

use crate::names::Names;
use crate::upstreams::UpstreamAttributes;
use portico_engine::files::error_pages::FilesOfRows;
use portico_engine::files::static_root::Folder;
use portico_engine::routing::{FixedResponse, Redirect, Routing, Target, UpstreamRow};
use portico_engine::settings::ErrorPageFiles;
use portico_engine::upstream::group::Upstream;
use portico_engine::upstream::orders;
use portico_wire::Routes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// An application beside the first; each field is the attribute of the same name (`portico.types.EngineApplication`).
#[derive(FromPyObject)]
struct ApplicationAttributes {
    application: Py<PyAny>,
    application_name: String,
    innermost: Option<Py<PyAny>>,
    has_middleware: bool,
}

/// A directory whose files are served: where it is, what stands for it, and its Cache-Control.
type FolderAttributes = (PathBuf, Vec<String>, String);
/// The number of a folder, what is taken from the path, and whether what is not there is left to the next row.
type Files = (usize, String, bool);
/// Status, headers and body.
type Response = (u16, Vec<(String, String)>, Vec<u8>);

/// A row of the table; each field is the attribute of the same name (`portico.types.EngineRoute`).
#[derive(FromPyObject)]
struct RouteAttributes {
    host: String,
    path: String,
    is_exact: bool,
    application: Option<(usize, String)>,
    files: Option<Files>,
    response: Option<Response>,
    redirect: Option<(u16, String, Option<String>)>,
    upstream: Option<(usize, String)>,
}

/// Each field is the attribute of the same name (`portico.types.EngineRouting`).
#[derive(FromPyObject)]
pub struct RoutingAttributes {
    others: Vec<ApplicationAttributes>,
    folders: Vec<FolderAttributes>,
    upstreams: Vec<UpstreamAttributes>,
    routes: Vec<RouteAttributes>,
    rejects_unknown_hosts: bool,
    error_pages: PagesAttributes,
    member_orders: String,
}

/// Of applications, folders and upstreams: the error pages of each.
type PagesAttributes = (Vec<Vec<String>>, Vec<Vec<String>>, Vec<Vec<String>>);

/// An application beside the first.
pub struct Other {
    /// What is called.
    pub callable: Py<PyAny>,
    /// How to speak of it.
    pub names: Names,
}

impl RoutingAttributes {
    /// The table, and the applications beside the first, which have the numbers from 1 on.
    pub fn read(self) -> PyResult<(Routing, Vec<Other>)> {
        let others: Vec<Other> = self.others.into_iter().map(Other::from).collect();
        let folders = self.folders.into_iter();
        let (of_applications, of_folders, of_upstreams) = self.error_pages;
        let mut routing = Routing {
            routes: Routes::new(self.rejects_unknown_hosts),
            targets: Vec::new(),
            folders: folders.map(|(path, index, cache_control)| Folder { path, index, cache_control }).collect(),
            upstreams: self.upstreams.into_iter().map(UpstreamAttributes::read).collect::<PyResult<_>>()?,
            error_pages: FilesOfRows {
                applications: pages(of_applications)?,
                folders: pages(of_folders)?,
                upstreams: pages(of_upstreams)?,
            },
        };
        // Names are looked up when it is served.
        orders::take(&routing.upstreams, &self.member_orders, &|_, _| ());
        for (number, row) in self.routes.into_iter().enumerate() {
            routing.routes.add(&row.host, &row.path, row.is_exact, number);
            routing.targets.push(row.target(others.len(), routing.folders.len(), &routing.upstreams)?);
        }
        Ok((routing, others))
    }
}

fn pages(entries: Vec<Vec<String>>) -> PyResult<Vec<ErrorPageFiles>> {
    let invalid = |error| PyValueError::new_err(format!("error_pages: {error}"));
    entries.into_iter().map(|entries| ErrorPageFiles::parse(entries).map_err(invalid)).collect()
}

impl From<ApplicationAttributes> for Other {
    fn from(attributes: ApplicationAttributes) -> Other {
        let ApplicationAttributes { application: callable, application_name: application, innermost, has_middleware } =
            attributes;
        Other { callable, names: Names { application, innermost, has_middleware } }
    }
}

impl RouteAttributes {
    fn target(self, last_application: usize, folders: usize, upstreams: &[Arc<Upstream>]) -> PyResult<Target> {
        let upstream = self.upstream.and_then(|(index, mount)| Some((upstreams.get(index)?.clone(), index, mount)));
        match (self.application, self.files, self.response, self.redirect, upstream) {
            (Some((index, mount)), None, None, None, None) if index <= last_application => {
                Ok(Target::Application { index, mount: mount.into() })
            }
            (None, Some((folder, mount, falls_back)), None, None, None) if folder < folders => {
                Ok(Target::Files { folder, mount: mount.into(), falls_back })
            }
            (None, None, Some((status, headers, body)), None, None) => {
                Ok(Target::Response(Arc::new(FixedResponse { status, headers, body })))
            }
            (None, None, None, Some((status, to, in_place_of)), None) => {
                let in_place_of = in_place_of.map(String::into_boxed_str);
                Ok(Target::Redirect(Arc::new(Redirect { status, to, in_place_of })))
            }
            (None, None, None, None, Some((upstream, number, mount))) => {
                Ok(Target::Upstream(Arc::new(UpstreamRow { upstream, number, mount: mount.into() })))
            }
            _ => Err(PyValueError::new_err(format!(
                "the route of {}{}: expected an application, a folder or an upstream that there is, a response or a redirect",
                self.host, self.path
            ))),
        }
    }
}
