"""The whole recipe, step by step: python -m training.pocket_diffusion [--config …] [--smoke] [--minutes M].

A step that is done is not done again; one that was interrupted goes on from its checkpoint. With `--minutes`
each training step stops after so long, and the chain with it: the same command goes on.
"""

from training.pocket_diffusion import data, evaluate, export, judges, text, train, vae
from training.pocket_diffusion.configuration import command, from_arguments, step_parser


def main(argv=None) -> None:
    parser = step_parser("The whole recipe.", minutes=True, prog="python -m training.pocket_diffusion")
    parser.add_argument("--quick", action="store_true", help="evaluate on few prompts")
    args = parser.parse_args(argv)
    config = from_arguments(args)
    shared = [
        word for flag in ("config", "work") if (value := getattr(args, flag)) for word in (f"--{flag}", str(value))
    ]
    shared += ["--smoke"] if args.smoke else []
    shared += [word for change in args.set for word in ("--set", change)]
    data.main(shared)
    trainings = (
        lambda: bool(config.start) or judges.run(config, "style_judge", args.minutes),
        lambda: bool(config.start) or judges.run(config, "judge", args.minutes),
        lambda: vae.run(config, args.minutes),
        lambda: text.run(config, args.minutes),
        lambda: train.run(config, args.minutes),
    )
    for step in trainings:
        if not step():
            print("Stopped for now: the same command goes on from here.")
            return
    export.main(shared)
    evaluate.main(shared + (["--quick"] if args.quick else []))


if __name__ == "__main__":
    command(main)
