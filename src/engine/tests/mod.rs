mod admission;
mod calendar;
mod conditions;
mod journeys;
mod properties;
mod signals;
mod stages;
