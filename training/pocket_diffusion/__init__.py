"""pocket-diffusion: the recipe of a Stable Diffusion that fits on a laptop.

The steps, each a module with a command line, in the order in which they run::

    data      fetch four free emoji sets, rasterize them, pack them into one file
    vae       train the AutoencoderKL
    text      train the CLIPTextModel to tell from a caption what its picture's latent will be
    train     train the UNet2DConditionModel on both
    judges    train the small picture-text model and the style classifier, on real pictures only
    export    write a StableDiffusionPipeline that diffusers loads without custom code
    evaluate  score it, and write the figures of its passport

Between stretches of training, ``sheets`` draws unselected pictures with what is there. Every step reads one
configuration (``configs/cpu.json`` is that of the shipped model; ``warm128.json`` that of its successor, which begins
with its weights) and keeps its work in one folder outside the repository (see :func:`configuration.work_folder`).
"""
