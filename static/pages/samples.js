// Judging the random draw of mined samples.

import { call } from "../viewer/api.js";
import { at, findAll } from "../viewer/dom.js";
import { judgeByKeys } from "./by_keys.js";

judgeByKeys({
  // The page is shown again while more are mined.
  pictures: () => findAll(at("drawn"), ".sample"),
  send: async (sample, label) => {
    const body = { sample: Number(sample.dataset.sample), label };
    const { sentence } = await call(at("drawn").dataset.judge ?? "", { method: "POST", body });
    at("so-far").textContent = sentence;
  },
});
