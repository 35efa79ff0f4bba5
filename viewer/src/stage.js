// The object on the canvas. Draws when told to, and never by itself.

import {
  BufferAttribute, BufferGeometry, Camera, ClampToEdgeWrapping, Color, CustomBlending, DataTexture, DoubleSide, GLSL3,
  Group, LinearFilter, LinearMipmapLinearFilter, LineSegments, Matrix4, Mesh, NoColorSpace, OneFactor, Points, RGBAFormat, SRGBColorSpace, Scene, ShaderMaterial,
  Texture, Vector2, Vector3, WebGLRenderer, ZeroFactor,
} from "three";

import { tiles } from "./gan.js";
import { atVertices, between, coordinates, lines, points, positions, triangles } from "./grid.js";
import { toward } from "./light.js";
import { Picture } from "./picture.js";
import { motion, pictureScale, shownMotion } from "./pose.js";
import { COLOURS, FLAT, fragmentShader, vertexShader } from "./shader.js";

const NEAR = 0.4;
const FAR = 1.8;
const LINES = 64; // rows and columns that the wireframe shows, about
const POINTS = 128; // of the cloud, a side, about

// Alpha says how much of a rim's pixel is covered, and must not reach the page, which would shine through.
const COVERAGE = {
  alphaToCoverage: true, blending: CustomBlending, blendSrc: OneFactor, blendDst: ZeroFactor,
  blendSrcAlpha: ZeroFactor, blendDstAlpha: OneFactor,
};

function texture(content, width, height) {
  const made = new DataTexture(content, width, height, RGBAFormat);
  made.minFilter = made.magFilter = LinearFilter;
  made.wrapS = made.wrapT = ClampToEdgeWrapping;
  made.colorSpace = NoColorSpace;
  made.needsUpdate = true;
  return made;
}

function imageTexture(image) {
  const made = new Texture(image);
  made.minFilter = made.magFilter = LinearFilter;
  made.generateMipmaps = false;
  made.flipY = false;
  made.colorSpace = NoColorSpace;
  made.needsUpdate = true;
  return made;
}

// Read smaller than it is on most screens.
function fineTexture(image) {
  const made = imageTexture(image);
  made.minFilter = LinearMipmapLinearFilter;
  made.generateMipmaps = true;
  made.anisotropy = 4;
  return made;
}

function rowMajor(values) {
  return new Matrix4().set(...values);
}

export class Stage {
  // photo, pictures, fine: decoded images; pictures: those through the GAN, or null; fine: the albedo as fine as the
  // photo, or null.
  constructor(canvas, data, photo, pictures, fine) {
    this.canvas = canvas;
    this.data = data;
    this.frames = 0;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: false, powerPreference: "high-performance" });
    this.scene = new Scene();
    this.camera = new Camera();
    this.root = new Group();
    this.root.matrixAutoUpdate = false;
    this.scene.add(this.root);
    this._build(photo, fine);
    this.picture = pictures && new Picture(data.gan, imageTexture(pictures));
    if (this.picture) this.scene.add(this.picture.mesh);
  }

  _build(photo, fine) {
    const { data } = this;
    const { grid, texture: side, fovDeg } = data;
    const mask = atVertices(data.mask, side, grid).map((value) => value / 255);
    const shared = {
      position: new BufferAttribute(positions(data.depth, grid, fovDeg), 3),
      normalXY: new BufferAttribute(data.normal, 2, true),
      uv: new BufferAttribute(coordinates(grid, side), 2),
    };
    const step = (count) => Math.max(1, Math.round((grid - 1) / count));
    const indices = {
      surface: triangles(mask, grid),
      wireframe: lines(mask, grid, step(LINES)),
      points: points(mask, grid, step(POINTS)),
    };
    this.uniforms = {
      albedoMap: { value: texture(data.albedo, side, side) },
      fineMap: { value: fine && fineTexture(fine) },
      fineUv: { value: fine ? new Vector2(...between(side, data.fineSide)) : new Vector2() },
      photoMap: { value: imageTexture(photo) },
      depthColours: { value: texture(data.colours, 256, 1) },
      strength: { value: new Vector2() },
      toward: { value: new Vector3() },
      shownDepth: { value: new Vector2(...data.shown) },
      ground: { value: new Vector3() },
      photoMotion: { value: rowMajor(motion(data.view)) },
      photoScale: { value: pictureScale(data.size, fovDeg) },
      pointSize: { value: 2 },
    };
    const object = (Kind, name, index, settings = {}) => {
      const geometry = new BufferGeometry();
      for (const [key, attribute] of Object.entries(shared)) geometry.setAttribute(key, attribute);
      geometry.setIndex(new BufferAttribute(index, 1));
      const made = new Kind(geometry, this._material(name !== "surface", settings));
      made.frustumCulled = false;
      made.matrixAutoUpdate = false;
      this.root.add(made);
      return made;
    };
    this.surface = object(Mesh, "surface", indices.surface, {
      ...COVERAGE, side: DoubleSide, polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1,
    });
    this.wireframe = object(LineSegments, "wireframe", indices.wireframe);
    this.points = object(Points, "points", indices.points);
  }

  _material(thin, settings) {
    const own = { colour: { value: 0 }, surface: { value: !thin } };
    return new ShaderMaterial({
      glslVersion: GLSL3, vertexShader, fragmentShader, uniforms: { ...this.uniforms, ...own }, ...settings,
    });
  }

  // state: see state.js; ground: the background, three numbers in [0, 1]; width, height in pixels of the screen.
  draw(state, ground, width, height) {
    const { renderer, camera, uniforms, data } = this;
    renderer.setPixelRatio(1);
    const size = renderer.getSize(new Vector2());
    if (size.x !== width || size.y !== height) renderer.setSize(width, height, false);
    renderer.setClearColor(new Color().setRGB(...ground, SRGBColorSpace), 1); // the screen's values, as the shader's

    const side = Math.min(width, height);
    const scale = pictureScale(data.size, data.fovDeg) * state.zoom;
    const [x, y] = [(scale * side) / width, (scale * side) / height];
    camera.projectionMatrix.set(
      x, 0, -state.panX * side / width, 0,
      0, y, -state.panY * side / height, 0,
      0, 0, -(FAR + NEAR) / (FAR - NEAR), (-2 * FAR * NEAR) / (FAR - NEAR),
      0, 0, -1, 0,
    );
    camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
    // Half a turn about x: from y down, z forward to y up, z toward the viewer.
    const half = new Matrix4().makeScale(1, -1, -1);
    this.root.matrix.copy(half).multiply(rowMajor(shownMotion(data.view, state)));
    this.root.matrixWorldNeedsUpdate = true;

    uniforms.strength.value.set(state.light[0], state.light[1]);
    uniforms.toward.value.set(...toward(state.light));
    uniforms.ground.value.set(...ground);
    uniforms.pointSize.value = Math.max(1.5, (side / POINTS) * state.zoom * 0.7);
    const colour = COLOURS.indexOf(state.colour);
    const thin = state.form !== "surface";
    this.surface.material.uniforms.colour.value = thin ? FLAT : colour;
    this.surface.visible = state.form !== "points";
    for (const form of ["wireframe", "points"]) {
      this[form].visible = state.form === form;
      this[form].material.uniforms.colour.value = colour;
    }
    const flat = state.colour === "gan";
    this.root.visible = !flat;
    if (this.picture) {
      this.picture.mesh.visible = flat;
      const square = [(state.zoom * side) / width, (state.zoom * side) / height];
      const shift = [(state.panX * side) / width, (state.panY * side) / height];
      if (flat) this.picture.set(tiles(state, data.view, data.gan), square, shift);
    }
    renderer.render(this.scene, camera);
    this.frames += 1;
    this.canvas.dataset.frames = String(this.frames);
  }
}
