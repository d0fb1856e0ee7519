() => {
  // Cures for what screen readers and keyboards stumble over in gradio's controls: a button within
  // a button, of which the inner one works, and a picture to click on that has no name.
  function cure() {
    for (const button of document.querySelectorAll("button:has(button):not([role='group'])")) {
      button.setAttribute("role", "group");
      button.setAttribute("aria-label", "More photos");
      button.title = "More photos";
      button.tabIndex = -1;
    }
    for (const code of document.querySelectorAll("pre:not([tabindex])")) {
      code.tabIndex = 0; // may be wider than the screen, and is then moved with the arrow keys
    }
    for (const image of document.querySelectorAll("#preview img:not([alt='The first photo'])")) {
      image.alt = "The first photo";
    }
  }
  cure();
  new MutationObserver(cure).observe(document.body, { childList: true, subtree: true });
}
