using System;
using System.Diagnostics;

namespace Skinnybox
{
    /// <summary>What XenCenter starts from its menus. The exit code is Skinnybox's; all that goes wrong is told.</summary>
    internal static class Program
    {
        [STAThread]
        private static void Main(string[] words)
        {
            // at once: mono waits at the end of Main for threads that have nothing more to do, now and then for long
            Environment.Exit(Ended(words));
        }

        private static int Ended(string[] words)
        {
            bool isText = Array.IndexOf(words, "--text") >= 0;
            try
            {
                Arguments arguments = Arguments.Read(words);
                return (int)Run(arguments);
            }
            catch (Trouble trouble)
            {
                return Tell(trouble, isText);
            }
            catch (Untrusted untrusted)
            {
                return Tell(untrusted.AsTrouble(), isText);
            }
            catch (Exception bug)
            {
                return Tell(new Trouble("A mistake of this program: " + bug, "Please report it.", Ending.OurBug), isText);
            }
        }

        private static Ending Run(Arguments arguments)
        {
            Target target = arguments.OnlyPool();
            var pool = new Pool(target, new Certificate(KnownPools.OfUser()));
            if (arguments.Verb == "changes")
            {
                ShowChanges(arguments, pool, target);
            }
            else if (arguments.IsText)
            {
                TextFront.Run(arguments, pool, Console.Out);
            }
            else
            {
                return Windows.Front.Run(arguments, pool);
            }
            return Ending.Done;
        }

        /// <summary>In the browser: the tab beside it is the old Internet Explorer's.</summary>
        private static void ShowChanges(Arguments arguments, Pool pool, Target target)
        {
            bool isMachine = target.Kind == "VM" && Arguments.IsObject(target);
            Uri console = WebConsole.Find(AppDomain.CurrentDomain.BaseDirectory);
            string name = null;
            if (isMachine)
            {
                name = Windows.Front.Confirming(pool, arguments.IsText, () =>
                    Json.Text(pool.Ask("VM.get_name_label", pool.Ask("VM.get_by_uuid", target.Uuid))));
            }
            Uri page = WebConsole.Changes(console, name);
            if (arguments.IsText)
            {
                Console.Out.WriteLine(page.AbsoluteUri);
            }
            else
            {
                Process.Start(page.AbsoluteUri);
            }
        }

        private static int Tell(Trouble trouble, bool isText)
        {
            if (isText)
            {
                Console.Error.WriteLine("skinnybox: " + trouble);
            }
            else
            {
                Windows.Message.Show(trouble);
            }
            return (int)trouble.Ending;
        }
    }
}
