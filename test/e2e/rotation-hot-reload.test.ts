import { hotReloadJourney } from "./support/hot-reload-journey";

hotReloadJourney("enable, rotate, disable", [1, 2, "identity"]);
