// Turns the addresses to try into buttons that fill in the form. Without this script they are text to copy.
"use strict";

for (const address of document.querySelectorAll("[data-fills]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "address";
  button.textContent = address.textContent;
  button.setAttribute("aria-label", `Use ${address.textContent}`);
  button.addEventListener("click", () => {
    const input = document.getElementById(address.dataset.fills);
    input.value = address.textContent;
    input.focus();
  });
  address.replaceWith(button);
}
