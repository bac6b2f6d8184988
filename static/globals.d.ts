// What script elements of the pages define; OpenSeadragon's types name their global themselves.
import type Index from "flatbush";
import type {} from "openseadragon";
import type * as Tus from "tus-js-client";

declare global {
  const Flatbush: typeof Index;
  const tus: typeof Tus;
}
