using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;

namespace Skinnybox
{
    /// <summary>The plugin without a window: preview, progress and results as lines.</summary>
    internal static class TextFront
    {
        public static void Run(Arguments arguments, Pool pool, TextWriter output)
        {
            var order = new Order(arguments.Verb, arguments.Values);
            if (order.Function != "create_template")
            {
                Show(order, pool, output);
            }
            if (!arguments.IsPreview)
            {
                Report(order, Make(order, pool, output), output);
            }
        }

        private static void Show(Order order, Pool pool, TextWriter output)
        {
            var inventory = new Inventory(pool);
            var space = new Space(pool, Preview.OverlayOf(order, inventory));
            var preview = new Preview(order, inventory, space.Find(Preview.StorageOf(order, inventory)));
            output.WriteLine(Printable.Line(preview.Names));
            if (preview.LayersLine != "")
            {
                output.WriteLine(Printable.Line(preview.LayersLine));
            }
            output.WriteLine(preview.SpaceLine);
            if (preview.Warning != "")
            {
                output.WriteLine(Printable.Line(preview.Warning));
            }
        }

        private static IList<Made> Make(Order order, Pool pool, TextWriter output)
        {
            var run = new PluginRun(pool, order);
            var listener = new Thread(() => Listen(run)) { IsBackground = true };
            listener.Start();
            int last = -1;
            return run.Run(watch =>
            {
                int percent = (int)(watch.Fraction * 100);
                if (percent != last)
                {
                    output.WriteLine(percent + " %");
                    output.Flush();
                    last = percent;
                }
            });
        }

        /// <summary>A line "cancel" takes the order back. A program with windows hears no Ctrl-C. Nothing is read
        /// behind it: Mono was seen to spin for ever at its end, over a thread that waited for input.</summary>
        private static void Listen(PluginRun run)
        {
            for (string line = Console.In.ReadLine(); line != null; line = Console.In.ReadLine())
            {
                if (line.Trim() == "cancel")
                {
                    run.Cancel();
                    return;
                }
            }
        }

        private static void Report(Order order, IList<Made> made, TextWriter output)
        {
            foreach (Made each in made)
            {
                output.WriteLine(Printable.Line(each.Name) + ": " + each);
            }
            int failed = made.Count(each => each.Error != "");
            if (failed > 0)
            {
                throw new Trouble(
                    failed + " of " + made.Count + " could not be started.",
                    "They are there: start them when the reason is gone.");
            }
        }
    }
}
