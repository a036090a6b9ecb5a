using System;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    internal static class Message
    {
        public static void Show(Trouble trouble)
        {
            string between = Environment.NewLine + Environment.NewLine;
            string text = trouble.Hint == "" ? trouble.Message : trouble.Message + between + trouble.Hint;
            MessageBox.Show(text, "Skinnybox", MessageBoxButtons.OK, MessageBoxIcon.Error);
        }
    }
}
