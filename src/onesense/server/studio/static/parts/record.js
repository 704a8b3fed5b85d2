// A recording of the microphone, or a still of the webcam, as a file.

import { button, dialog, fill, h, toast } from "../dom.js";
import { clock, t } from "../i18n.js";

const MAX_S = 60;

async function stream(wanted) {
  try {
    return await navigator.mediaDevices.getUserMedia(wanted);
  } catch {
    toast(t(wanted.video ? "camera.refused" : "mic.refused"), "error");
    return null;
  }
}

const end = (media) => media.getTracks().forEach((track) => track.stop());

/** Record until the person stops; null when there is no microphone, or they change their mind. */
export async function recordSound() {
  const media = await stream({ audio: true });
  if (!media) return null;
  return new Promise((resolve) => {
    const recorder = new MediaRecorder(media);
    const chunks = [];
    let isKept = false;
    const time = h("p", { class: "record-time", role: "timer" }, clock(0));
    const begun = performance.now();
    const tick = setInterval(() => {
      const spent = (performance.now() - begun) / 1000;
      fill(time, clock(spent));
      if (spent > MAX_S) done();
    }, 250);
    const done = () => {
      isKept = true;
      box.close();
    };
    recorder.ondataavailable = (event) => chunks.push(event.data);
    recorder.onstop = () => {
      end(media);
      const type = (recorder.mimeType || "audio/webm").split(";")[0];
      resolve(isKept && chunks.length ? new File(chunks, t("mic.name"), { type }) : null);
    };
    const box = dialog(
      t("mic.title"),
      "record",
      [h("h2", {}, t("mic.title")), h("div", { class: "record-pulse", "aria-hidden": "true" }), time, h("p", { class: "quiet-text" }, t("mic.hint")), button(t("mic.done"), { text: t("mic.done"), class: "primary", onclick: done, autofocus: true })],
      () => {
        clearInterval(tick);
        recorder.state === "inactive" ? resolve(null) : recorder.stop();
      },
    );
    recorder.start();
  });
}

/** Take a still of the webcam; null as above. */
export async function takePicture() {
  const media = await stream({ video: { width: { ideal: 1280 } } });
  if (!media) return null;
  return new Promise((resolve) => {
    let still = null;
    const video = h("video", { class: "record-video", muted: true, playsinline: true, srcObject: media });
    video.play();
    const take = () => {
      const canvas = h("canvas");
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => {
        still = blob && new File([blob], t("camera.name"), { type: "image/jpeg" });
        box.close();
      }, "image/jpeg", 0.9);
    };
    const box = dialog(
      t("camera.title"),
      "record",
      [h("h2", {}, t("camera.title")), video, button(t("camera.take"), { text: t("camera.take"), class: "primary", onclick: take, autofocus: true })],
      () => {
        end(media);
        resolve(still);
      },
    );
  });
}
