using System;
using System.Threading;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>Work beside a window: what came of it is told in the window's own thread, while there is one.</summary>
    internal static class Background
    {
        public static void Run<T>(Control window, Func<T> work, Action<T> done, Action<Exception> failed)
        {
            var thread = new Thread(() =>
            {
                T value;
                try
                {
                    value = work();
                }
                catch (Exception error)
                {
                    Tell(window, () => failed(error));
                    return;
                }
                Tell(window, () => done(value));
            });
            thread.IsBackground = true;
            thread.Start();
        }

        public static void Tell(Control window, Action what)
        {
            try
            {
                if (window.IsHandleCreated && !window.IsDisposed)
                {
                    window.BeginInvoke(what);
                }
            }
            catch (InvalidOperationException)
            {
                // closed just now: nobody is left to tell
            }
        }
    }
}
