import { hotReloadJourney } from "./support/hot-reload-journey";

hotReloadJourney("enable, rotate, roll back", [1, 2, 1]);
