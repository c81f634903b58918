mod corpus;
mod filters;
mod judge;
mod plan;
mod request;
mod text;
