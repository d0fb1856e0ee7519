// Before and after in one view: two pyramids of tiles, cut at a line that follows a slider, and the
// map of experts above both. The body of a function of `element`, the component on the page, and
// `watch`, which tells of its new values; OpenSeadragon is loaded before.

let shown = null;

function pyramid(view) {
  return {
    Image: {
      xmlns: "http://schemas.microsoft.com/deepzoom/2008",
      Url: view.url,
      Format: view.format,
      Overlap: "1",
      TileSize: String(view.tile),
      Size: { Width: String(view.width), Height: String(view.height) },
    },
  };
}

function open() {
  if (shown) {
    shown.destroy();
    shown = null;
  }
  const place = element.querySelector(".pix-view");
  if (!place) {
    return;
  }
  const views = JSON.parse(place.dataset.views);
  const canvas = place.querySelector(".pix-canvas");
  const line = place.querySelector(".pix-line");
  const slider = place.querySelector(".pix-slider");
  const overlay = place.querySelector(".pix-overlay");
  const viewer = OpenSeadragon({
    element: canvas,
    drawer: "canvas",
    showNavigationControl: false,
    maxZoomPixelRatio: 8,
    visibilityRatio: 0.5,
    animationTime: 0.3,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  });
  shown = viewer;
  const layers = {};

  function cut() {
    const share = Number(slider.value) / 100;
    const width = viewer.viewport.getContainerSize().x;
    line.style.left = `${100 * share}%`;
    const after = layers.after;
    if (!after) {
      return;
    }
    const size = after.getContentSize();
    const at = after.viewerElementToImageCoordinates(new OpenSeadragon.Point(share * width, 0)).x;
    const left = Math.min(Math.max(at, 0), size.x);
    after.setOpacity(left < size.x ? 1 : 0);
    if (left < size.x) {
      after.setClip(new OpenSeadragon.Rect(left, 0, size.x - left, size.y));
    }
  }

  function add(name) {
    if (!views[name]) {
      return;
    }
    viewer.addTiledImage({
      tileSource: pyramid(views[name]),
      x: 0,
      y: 0,
      width: 1,
      index: ["before", "after", "map"].indexOf(name),
      opacity: name === "map" ? Number(overlay.value) / 100 : 1,
      success: (event) => {
        layers[name] = event.item;
        cut();
        if (name === "before") {
          viewer.viewport.goHome(true);
          add("after");
        } else if (name === "after") {
          add("map");
          place.dataset.ready = "yes";
        }
      },
    });
  }

  viewer.addHandler("update-viewport", cut);
  slider.addEventListener("input", cut);
  if (overlay) {
    overlay.addEventListener("input", () => {
      if (layers.map) {
        layers.map.setOpacity(Number(overlay.value) / 100);
      }
    });
  }
  const jobs = {
    in: () => viewer.viewport.zoomBy(1.5),
    out: () => viewer.viewport.zoomBy(1 / 1.5),
    fit: () => viewer.viewport.goHome(),
    one: () => layers.after && viewer.viewport.zoomTo(layers.after.imageToViewportZoom(1)),
  };
  for (const button of place.querySelectorAll("button[data-job]")) {
    button.addEventListener("click", () => {
      jobs[button.dataset.job]();
      viewer.viewport.applyConstraints();
    });
  }
  // The line itself can be dragged, too.
  line.addEventListener("pointerdown", (event) => {
    line.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  line.addEventListener("pointermove", (event) => {
    if (line.hasPointerCapture(event.pointerId)) {
      const box = canvas.getBoundingClientRect();
      slider.value = String((100 * (event.clientX - box.left)) / box.width);
      cut();
    }
  });
  add("before");
}

watch("value", open);
open();
