mod admission;
mod calendar;
mod conditions;
mod journeys;
mod signals;
mod stages;
