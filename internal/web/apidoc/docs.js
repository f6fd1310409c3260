// Shows the OpenAPI document that the page names. No other host is asked for anything.
"use strict";

(function () {
  const main = document.getElementById("docs");

  // The stylesheet of Swagger UI is dark below this class, not by the media query.
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = function () {
    document.documentElement.classList.toggle("dark-mode", dark.matches);
  };
  follow();
  dark.addEventListener("change", follow);

  window.SwaggerUIBundle({
    domNode: main,
    url: new URL(main.dataset.document, document.baseURI).href,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false, // a token must not outlive the page
    queryConfigEnabled: false, // the address bar must not choose another document
    validatorUrl: null, // no document leaves for an outside validator
  });
})();
