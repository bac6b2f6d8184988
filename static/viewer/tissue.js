// Where a slide has tissue, as the server has measured it and people have corrected it: a picture over the whole slide.

const NEAR = 64; // of the grey of a pixel: figures count from here up
const TISSUE = 192;

export class Tissue {
  #grey;
  #width;
  #height;
  #perX;
  #perY;
  /** @type {OffscreenCanvas | null} */
  #picture = null;

  /**
   * @param {Uint8Array | Uint8ClampedArray} grey of each pixel, row by row
   * @param {number} width px of the picture
   * @param {number} height
   * @param {{width: number, height: number}} slide level-0 px
   */
  constructor(grey, width, height, slide) {
    this.#grey = grey;
    this.#width = width;
    this.#height = height;
    this.#perX = width / slide.width;
    this.#perY = height / slide.height;
  }

  /** @param {Blob} file @param {{width: number, height: number}} slide */
  static async read(file, slide) {
    const image = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const { width, height } = image;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("This browser draws nothing over the slide.");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const grey = new Uint8Array(width * height);
    for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
    return new Tissue(grey, width, height, slide);
  }

  /** Whether a figure there lies on tissue, or so near to it that it counts. @param {number} x level-0 px @param {number} y */
  near(x, y) {
    const column = Math.min(this.#width - 1, Math.max(0, Math.floor(x * this.#perX)));
    const row = Math.min(this.#height - 1, Math.max(0, Math.floor(y * this.#perY)));
    return this.#grey[row * this.#width + column] >= NEAR;
  }

  /** A picture of what is glass, to be drawn over the slide. @param {[r: number, g: number, b: number]} colour */
  glass(colour) {
    if (this.#picture) return this.#picture;
    const picture = new OffscreenCanvas(this.#width, this.#height);
    const pixels = new ImageData(this.#width, this.#height);
    for (let i = 0; i < this.#grey.length; i++) if (this.#grey[i] < TISSUE) pixels.data.set([...colour, 110], 4 * i);
    picture.getContext("2d")?.putImageData(pixels, 0, 0);
    return (this.#picture = picture);
  }
}
